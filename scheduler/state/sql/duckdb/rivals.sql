-- Compiled from projections.py by `make sql`.
SELECT
  "t3"."seq",
  "t3"."until"
FROM (
  SELECT
    *
  FROM (
    SELECT
      "t1"."seq",
      "t1"."data",
      LEAD("t1"."seq") OVER (ORDER BY "t1"."seq" ASC ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS "until"
    FROM (
      SELECT
        "t0"."seq",
        "t0"."data"
      FROM "standing" AS "t0"
      WHERE
        "t0"."kind" = 'sprint.started' AND "t0"."sender" = 'scheduler'
    ) AS "t1"
  ) AS "t2"
  WHERE
    CASE
      WHEN JSON_TYPE("t2"."data" -> '$.mode') = 'VARCHAR'
      THEN (
        "t2"."data" -> '$.mode'
      ) ->> '$'
      ELSE NULL
    END = 'sequential'
    AND CASE
      WHEN JSON_TYPE("t2"."data" -> '$.base') = 'VARCHAR'
      THEN (
        "t2"."data" -> '$.base'
      ) ->> '$'
      ELSE NULL
    END = $base
    AND LIST_SORT(
      CASE
        WHEN TRY_CAST("t2"."data" -> '$.personas' AS TEXT[]) IS NULL
        THEN NULL
        ELSE LIST_DISTINCT(TRY_CAST("t2"."data" -> '$.personas' AS TEXT[])) + CASE
          WHEN LIST_BOOL_OR(
            LIST_APPLY(TRY_CAST("t2"."data" -> '$.personas' AS TEXT[]), LAMBDA x : x IS NULL)
          )
          THEN [NULL]
          ELSE []
        END
      END
    ) = CAST($roster AS TEXT[])
) AS "t3"
ORDER BY
  "t3"."seq" DESC
LIMIT 2
