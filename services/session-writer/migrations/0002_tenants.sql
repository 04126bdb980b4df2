-- The second wall: what a request reads, it reads as worktide_session_writer_tenant, which sees one organisation's rows
-- alone. The merge, erasures and maintenance serve all organisations at once and run as the owner, who is free of it.
ALTER TABLE streams ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON streams
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));

ALTER TABLE erased_ranges ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON erased_ranges
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));

-- Whose an entry or a gap is, its stream says: one look at a primary key for each row that is read. Written as IN, all
-- streams of the organisation are read first, for a page of ten entries of one user; as EXISTS the planner may choose to.
ALTER TABLE usage_entries ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON usage_entries
  USING ((SELECT s.organization_id FROM streams s WHERE s.id = usage_entries.stream_id)
    = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));

ALTER TABLE usage_gaps ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON usage_gaps
  USING ((SELECT s.organization_id FROM streams s WHERE s.id = usage_gaps.stream_id)
    = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));

-- What requests read, and nothing else. Never a partition: it has no policy of its own, and is read through its parent.
GRANT SELECT ON streams, usage_entries TO worktide_session_writer_tenant;
