-- Compiled from projections.py by `make sql`.
SELECT
  "t0"."seq",
  "t0"."id",
  "t0"."ts",
  "t0"."kind",
  "t0"."sender",
  "t0"."ref",
  "t0"."run",
  "t0"."data",
  "t0"."hash"
FROM "events" AS "t0"
WHERE
  STARTS_WITH("t0"."kind", 'github.') AND "t0"."sender" = 'scheduler'
ORDER BY
  "t0"."seq" ASC
