-- One row for each screenshot; where its bytes lie follows from it (src/keys.ts). organization_id stands first in every
-- key, and requests run as the role worktide_screenshot_processor_tenant, which the policy below shows one organisation.

CREATE TABLE screenshots (
  organization_id uuid NOT NULL,
  id uuid NOT NULL,
  user_id uuid NOT NULL,
  time_entry_id uuid,
  captured_at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,

  -- As it was uploaded.
  upload_key text NOT NULL,
  upload_type text NOT NULL,
  upload_bytes bigint NOT NULL,
  asked_level smallint CHECK (asked_level BETWEEN 0 AND 3),
  -- json, which keeps any text that JSON can hold; jsonb refuses some, and one such row would hold up its whole batch.
  metadata json,

  -- As it became.
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'ready', 'failed')),
  blur_level smallint CHECK (blur_level BETWEEN 0 AND 3),
  width integer,
  height integer,
  picture_bytes bigint,
  thumbnail_bytes bigint,
  failure_code text,
  failure_message text,
  -- A deleted row stays a while, so that its record, read again, does not bring it back; see src/sweep.
  deleted_at timestamptz,
  -- Microseconds of the clock, or one more than before: rises also where a row was gone in between.
  version bigint NOT NULL,

  -- When there is something to be done: a pending picture to be processed, objects of any other row to be removed. Null
  -- when there is nothing.
  due_at timestamptz DEFAULT now(),
  -- Of whoever works on it until due_at. Who finds another one here, or none, has lost the row.
  lease uuid,
  -- How often it was taken up, and how often it was put back with a reason: the others ended without a word.
  takes integer NOT NULL DEFAULT 0,
  postponed integer NOT NULL DEFAULT 0,

  PRIMARY KEY (organization_id, id),
  CHECK ((status = 'ready') = (picture_bytes IS NOT NULL)),
  CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
  CHECK (status <> 'pending' OR deleted_at IS NOT NULL OR due_at IS NOT NULL)
);
CREATE INDEX screenshots_due ON screenshots (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX screenshots_pending ON screenshots (received_at) WHERE status = 'pending' AND deleted_at IS NULL;
CREATE INDEX screenshots_live_user ON screenshots (organization_id, user_id, captured_at, id) WHERE deleted_at IS NULL;
CREATE INDEX screenshots_live_entry ON screenshots (organization_id, time_entry_id, captured_at, id)
  WHERE deleted_at IS NULL AND time_entry_id IS NOT NULL;
CREATE INDEX screenshots_live_age ON screenshots (organization_id, captured_at) WHERE deleted_at IS NULL;
CREATE INDEX screenshots_deleted ON screenshots (deleted_at) WHERE deleted_at IS NOT NULL;

-- The parentheses make it one value for the whole query, not one for every row.
ALTER TABLE screenshots ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON screenshots
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
GRANT SELECT, UPDATE ON screenshots TO worktide_screenshot_processor_tenant;

-- The outbox has no tenant: it is written within tenants' transactions, and its events are not to be read there.
GRANT INSERT, DELETE, SELECT (id), UPDATE (due_at) ON outbox TO worktide_screenshot_processor_tenant;
