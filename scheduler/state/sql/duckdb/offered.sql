-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    "t3"."seq",
    "t3"."id",
    "t3"."ts",
    "t3"."kind",
    "t3"."sender",
    "t3"."ref",
    "t3"."run",
    "t3"."data",
    "t3"."hash"
  FROM (
    SELECT
      *
    FROM "events" AS "t0"
    WHERE
      "t0"."kind" IN ('run.offered', 'run.taken', 'run.returned', 'run.recalled')
  ) AS "t3"
  ANTI JOIN (
    SELECT DISTINCT
      "t0"."run"
    FROM "events" AS "t0"
    WHERE
      "t0"."sender" = 'scheduler' AND "t0"."kind" IN ('run.finished', 'run.lost')
  ) AS "t4"
    ON "t3"."run" = "t4"."run"
) AS "t5"
ORDER BY
  "t5"."seq" ASC
