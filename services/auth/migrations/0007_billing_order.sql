-- When that happened which the plan stands for, as the billing provider tells it: what happened before, and only comes
-- later, changes nothing any more. Null until the provider tells.
ALTER TABLE organizations ADD COLUMN subscription_occurred_at timestamptz;
