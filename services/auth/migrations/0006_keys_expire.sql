-- A key may end by itself, and its owner sees from where it was used last: an IPv4 address, or the /64 of an IPv6 one.
ALTER TABLE agent_keys ADD COLUMN expires_at timestamptz;
ALTER TABLE agent_keys ADD COLUMN last_used_from text;
