-- Compiled from projections.py by `make sql`.
SELECT DISTINCT
  *
FROM (
  SELECT
    *
  FROM (
    SELECT
      CASE
        WHEN JSON_TYPE("t0"."data" -> '$.agent') = 'VARCHAR'
        THEN (
          "t0"."data" -> '$.agent'
        ) ->> '$'
        ELSE NULL
      END AS "agent"
    FROM "events" AS "t0"
    WHERE
      "t0"."sender" = 'scheduler'
      AND "t0"."kind" = 'run.started'
      AND CASE
        WHEN JSON_TYPE("t0"."data" -> '$.dispatch') = 'VARCHAR'
        THEN (
          "t0"."data" -> '$.dispatch'
        ) ->> '$'
        ELSE NULL
      END IS NULL
  ) AS "t1"
  WHERE
    ARRAY_CONTAINS(CAST($agents AS TEXT[]), "t1"."agent")
) AS "t2"
ORDER BY
  "t2"."agent" ASC
