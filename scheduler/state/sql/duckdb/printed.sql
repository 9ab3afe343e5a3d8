-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    *
  FROM (
    SELECT
      "t0"."run",
      "t0"."seq"
    FROM "events" AS "t0"
    WHERE
      "t0"."sender" = 'scheduler'
      AND "t0"."kind" = 'run.finished'
      AND CASE
        WHEN JSON_TYPE("t0"."data" -> '$.output' -> '$.sha256') = 'VARCHAR'
        THEN (
          "t0"."data" -> '$.output' -> '$.sha256'
        ) ->> '$'
        ELSE NULL
      END IS NOT NULL
  ) AS "t2"
  UNION ALL
  SELECT
    *
  FROM (
    SELECT
      "t0"."run",
      "t0"."seq"
    FROM "events" AS "t0"
    WHERE
      "t0"."sender" = 'scheduler' AND "t0"."kind" = 'run.lost'
  ) AS "t1"
) AS "t3"
ORDER BY
  "t3"."seq" ASC
