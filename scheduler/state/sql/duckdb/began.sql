-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    *
  FROM (
    SELECT
      "t1"."seq",
      "t1"."ts",
      "t1"."number",
      LEAD("t1"."seq") OVER (ORDER BY "t1"."seq" ASC ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS "until"
    FROM (
      SELECT
        "t0"."seq",
        "t0"."ts",
        CASE
          WHEN JSON_TYPE("t0"."data" -> '$.sprint') IN ('UBIGINT', 'BIGINT')
          THEN CAST("t0"."data" -> '$.sprint' AS BIGINT)
          ELSE NULL
        END AS "number"
      FROM "standing" AS "t0"
      WHERE
        "t0"."kind" = 'sprint.started'
        AND "t0"."sender" = 'scheduler'
        AND CASE
          WHEN JSON_TYPE("t0"."data" -> '$.sprint') IN ('UBIGINT', 'BIGINT')
          THEN CAST("t0"."data" -> '$.sprint' AS BIGINT)
          ELSE NULL
        END >= 0
    ) AS "t1"
  ) AS "t2"
  WHERE
    (
      CAST($before AS BIGINT) IS NULL
    )
    OR (
      "t2"."number" < CAST($before AS BIGINT)
    )
) AS "t3"
ORDER BY
  "t3"."seq" DESC
LIMIT $limit
