-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
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
    FROM "launches" AS "t0"
    WHERE
      "t0"."kind" = 'run.started' AND "t0"."sender" = 'scheduler'
  ) AS "t2"
  SEMI JOIN (
    SELECT
      UNNEST(CAST($runs AS TEXT[])) AS "item"
  ) AS "t4"
    ON "t2"."run" = "t4"."item"
) AS "t5"
ORDER BY
  "t5"."seq" ASC
