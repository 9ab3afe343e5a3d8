-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    "t1"."kind",
    "t1"."status",
    "t1"."agent",
    "t1"."name",
    "t1"."passed",
    COUNT(*) AS "number",
    COALESCE(SUM("t1"."seconds"), 0) AS "seconds",
    COALESCE(SUM("t1"."usd"), 0) AS "usd",
    COALESCE(SUM("t1"."given"), 0) AS "given",
    COALESCE(SUM("t1"."written"), 0) AS "written"
  FROM (
    SELECT
      "t0"."kind",
      COALESCE(
        CASE
          WHEN JSON_TYPE("t0"."data" -> '$.status') = 'VARCHAR'
          THEN (
            "t0"."data" -> '$.status'
          ) ->> '$'
          ELSE NULL
        END,
        CASE
          WHEN JSON_TYPE("t0"."data" -> '$.outcome') = 'VARCHAR'
          THEN (
            "t0"."data" -> '$.outcome'
          ) ->> '$'
          ELSE NULL
        END,
        ''
      ) AS "status",
      COALESCE(
        CASE
          WHEN JSON_TYPE("t0"."data" -> '$.agent') = 'VARCHAR'
          THEN (
            "t0"."data" -> '$.agent'
          ) ->> '$'
          ELSE NULL
        END,
        ''
      ) AS "agent",
      COALESCE(
        CASE
          WHEN JSON_TYPE("t0"."data" -> '$.gate') = 'VARCHAR'
          THEN (
            "t0"."data" -> '$.gate'
          ) ->> '$'
          ELSE NULL
        END,
        CASE
          WHEN JSON_TYPE("t0"."data" -> '$.notify') = 'VARCHAR'
          THEN (
            "t0"."data" -> '$.notify'
          ) ->> '$'
          ELSE NULL
        END,
        ''
      ) AS "name",
      COALESCE(
        CASE
          WHEN JSON_TYPE("t0"."data" -> '$.passed') = 'BOOLEAN'
          THEN CAST("t0"."data" -> '$.passed' AS BOOLEAN)
          ELSE NULL
        END,
        FALSE
      ) AS "passed",
      CASE
        WHEN JSON_TYPE("t0"."data" -> '$.seconds') IN ('UBIGINT', 'BIGINT', 'DOUBLE')
        THEN CAST("t0"."data" -> '$.seconds' AS DOUBLE)
        ELSE NULL
      END AS "seconds",
      CASE
        WHEN JSON_TYPE("t0"."data" -> '$.usage' -> '$.usd') IN ('UBIGINT', 'BIGINT', 'DOUBLE')
        THEN CAST("t0"."data" -> '$.usage' -> '$.usd' AS DOUBLE)
        ELSE NULL
      END AS "usd",
      CASE
        WHEN JSON_TYPE("t0"."data" -> '$.usage' -> '$.input') IN ('UBIGINT', 'BIGINT')
        THEN CAST("t0"."data" -> '$.usage' -> '$.input' AS BIGINT)
        ELSE NULL
      END AS "given",
      CASE
        WHEN JSON_TYPE("t0"."data" -> '$.usage' -> '$.output') IN ('UBIGINT', 'BIGINT')
        THEN CAST("t0"."data" -> '$.usage' -> '$.output' AS BIGINT)
        ELSE NULL
      END AS "written"
    FROM "events" AS "t0"
    WHERE
      "t0"."sender" IN ('scheduler', 'weaver')
      AND "t0"."kind" IN (
        'run.finished',
        'run.lost',
        'gate.judged',
        'sprint.finished',
        'dispatch.finished',
        'notice.sent',
        'notice.failed'
      )
  ) AS "t1"
  GROUP BY
    1,
    2,
    3,
    4,
    5
) AS "t2"
ORDER BY
  "t2"."kind" ASC,
  "t2"."status" ASC,
  "t2"."agent" ASC,
  "t2"."name" ASC,
  "t2"."passed" ASC
