-- Compiled from projections.py by `make sql`.
SELECT
  "t2"."seq",
  "t2"."run",
  CASE
    WHEN JSON_TYPE("t2"."data" -> '$.persona') = 'VARCHAR'
    THEN (
      "t2"."data" -> '$.persona'
    ) ->> '$'
    ELSE NULL
  END AS "persona"
FROM (
  SELECT
    *
  FROM (
    SELECT
      *
    FROM "mailbox" AS "t0"
    WHERE
      "t0"."kind" = 'run.started' AND "t0"."sender" = 'scheduler'
  ) AS "t1"
  WHERE
    ARRAY_CONTAINS(CAST($runs AS TEXT[]), "t1"."run")
) AS "t2"
ORDER BY
  "t2"."seq" ASC
