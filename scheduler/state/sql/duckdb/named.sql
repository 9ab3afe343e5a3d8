-- Compiled from projections.py by `make sql`.
SELECT
  "t2"."seq",
  "t2"."run"
FROM (
  SELECT
    *
  FROM (
    SELECT
      *
    FROM "events" AS "t0"
    WHERE
      "t0"."sender" = 'scheduler' AND "t0"."kind" = 'run.started'
  ) AS "t1"
  WHERE
    STARTS_WITH("t1"."run", $key)
) AS "t2"
ORDER BY
  "t2"."seq" ASC
