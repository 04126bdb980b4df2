-- One form of what looks alike, as names are taken since. Their keys and words have it already.
UPDATE projects SET name = normalize(name, NFC) WHERE name IS NOT NFC NORMALIZED;
UPDATE teams SET name = normalize(name, NFC) WHERE name IS NOT NFC NORMALIZED;
UPDATE tasks SET title = normalize(title, NFC) WHERE title IS NOT NFC NORMALIZED;
