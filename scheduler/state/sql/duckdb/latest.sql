-- Compiled from projections.py by `make sql`.
SELECT
  "t4"."seq",
  "t4"."run"
FROM (
  SELECT
    *
  FROM (
    SELECT
      "t2"."seq",
      "t2"."run",
      "t2"."persona",
      ROW_NUMBER() OVER (
        PARTITION BY "t2"."persona"
        ORDER BY "t2"."seq" DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ) - 1 AS "rank"
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t0"."seq",
          "t0"."run",
          CASE
            WHEN JSON_TYPE("t0"."data" -> '$.persona') = 'VARCHAR'
            THEN (
              "t0"."data" -> '$.persona'
            ) ->> '$'
            ELSE NULL
          END AS "persona"
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
        ARRAY_CONTAINS(CAST($roster AS TEXT[]), "t1"."persona")
    ) AS "t2"
  ) AS "t3"
  WHERE
    "t3"."rank" < CAST($most AS BIGINT)
) AS "t4"
ORDER BY
  "t4"."seq" ASC
