-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    "t3"."day",
    COUNT(*) AS "runs",
    SUM("t3"."given") FILTER(WHERE
      (
        "t3"."given" IS NOT NULL
      ) AND (
        "t3"."written" IS NOT NULL
      )) AS "input",
    SUM("t3"."cached") FILTER(WHERE
      (
        "t3"."given" IS NOT NULL
      ) AND (
        "t3"."written" IS NOT NULL
      )) AS "cached",
    SUM("t3"."written") FILTER(WHERE
      (
        "t3"."given" IS NOT NULL
      ) AND (
        "t3"."written" IS NOT NULL
      )) AS "output",
    SUM("t3"."usd") AS "usd",
    BOOL_OR(CAST("t3"."estimated" AS BOOLEAN)) AS "estimated",
    SUM(
      CAST(NOT (
        (
          "t3"."given" IS NOT NULL
        ) AND (
          "t3"."written" IS NOT NULL
        )
      )
      OR "t3"."partial" AS INT)
    ) AS "tokens_unknown",
    SUM(CAST((
      "t3"."usd" IS NULL
    ) OR "t3"."partial" AS INT)) AS "usd_unknown",
    SUM(CAST((
      "t3"."cached" IS NULL
    ) OR "t3"."partial" AS INT)) AS "cached_unknown"
  FROM (
    SELECT
      ARRAY_LENGTH(
        LIST_FILTER(
          CAST($days AS TEXT[]),
          LAMBDA __ibis_param_day__ : __ibis_param_day__ <= "t2"."ts"
        )
      ) AS "day",
      CASE
        WHEN JSON_TYPE("t2"."data" -> '$.usage' -> '$.input') IN ('UBIGINT', 'BIGINT')
        THEN CAST("t2"."data" -> '$.usage' -> '$.input' AS BIGINT)
        ELSE NULL
      END AS "given",
      CASE
        WHEN JSON_TYPE("t2"."data" -> '$.usage' -> '$.cached') IN ('UBIGINT', 'BIGINT')
        THEN CAST("t2"."data" -> '$.usage' -> '$.cached' AS BIGINT)
        ELSE NULL
      END AS "cached",
      CASE
        WHEN JSON_TYPE("t2"."data" -> '$.usage' -> '$.output') IN ('UBIGINT', 'BIGINT')
        THEN CAST("t2"."data" -> '$.usage' -> '$.output' AS BIGINT)
        ELSE NULL
      END AS "written",
      CASE
        WHEN JSON_TYPE("t2"."data" -> '$.usage' -> '$.usd') IN ('UBIGINT', 'BIGINT', 'DOUBLE')
        THEN CAST("t2"."data" -> '$.usage' -> '$.usd' AS DOUBLE)
        ELSE NULL
      END AS "usd",
      COALESCE(
        CASE
          WHEN JSON_TYPE("t2"."data" -> '$.usage' -> '$.estimated') = 'BOOLEAN'
          THEN CAST("t2"."data" -> '$.usage' -> '$.estimated' AS BOOLEAN)
          ELSE NULL
        END,
        FALSE
      ) AS "estimated",
      COALESCE(
        CASE
          WHEN JSON_TYPE("t2"."data" -> '$.usage' -> '$.partial') = 'BOOLEAN'
          THEN CAST("t2"."data" -> '$.usage' -> '$.partial' AS BOOLEAN)
          ELSE NULL
        END,
        FALSE
      ) AS "partial"
    FROM (
      SELECT
        *
      FROM (
        SELECT
          *
        FROM "events" AS "t0"
        WHERE
          "t0"."sender" = 'scheduler' AND "t0"."ts" >= $since
      ) AS "t1"
      WHERE
        "t1"."kind" IN ('run.finished', 'run.lost')
        AND CASE
          WHEN JSON_TYPE("t1"."data" -> '$.withdrawn') = 'VARCHAR'
          THEN (
            "t1"."data" -> '$.withdrawn'
          ) ->> '$'
          ELSE NULL
        END IS NULL
    ) AS "t2"
  ) AS "t3"
  GROUP BY
    1
) AS "t4"
ORDER BY
  "t4"."day" ASC
