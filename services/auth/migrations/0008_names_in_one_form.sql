-- One form of what looks alike, as names are taken since: what was stored before is found then as well.
UPDATE users SET name = normalize(name, NFC) WHERE name IS NOT NFC NORMALIZED;
UPDATE organizations SET name = normalize(name, NFC) WHERE name IS NOT NFC NORMALIZED;
UPDATE agent_keys SET name = normalize(name, NFC) WHERE name IS NOT NFC NORMALIZED;
