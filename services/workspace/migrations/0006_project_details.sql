-- For whom, how much, and how it is shown: of no meaning to other services, so not in the topic's events.
ALTER TABLE projects
  ADD COLUMN color text,
  ADD COLUMN client_name text,
  ADD COLUMN budget_seconds bigint;
