-- Compiled from projections.py by `make sql`.
WITH "t1" AS (
  SELECT
    *
  FROM "standing" AS "t0"
  WHERE
    (
      "t0"."kind" IN ('scheduler.paused', 'scheduler.resumed', 'round.paused')
      OR (
        (
          "t0"."kind" = 'deploy.finished'
        )
        AND (
          CASE
            WHEN JSON_TYPE("t0"."data" -> '$.outcome') = 'VARCHAR'
            THEN (
              "t0"."data" -> '$.outcome'
            ) ->> '$'
            ELSE NULL
          END = 'deployed'
        )
      )
    )
    AND "t0"."seq" < CAST($before AS BIGINT)
)
SELECT
  *
FROM (
  SELECT
    "t3"."seq",
    "t3"."id",
    "t3"."ts",
    "t3"."kind",
    "t3"."sender",
    "t3"."ref",
    "t3"."run",
    "t3"."data",
    "t3"."hash"
  FROM "t1" AS "t3"
  SEMI JOIN (
    SELECT
      "t2"."kind" = 'deploy.finished' AS "deploys",
      MAX("t2"."seq") AS "seq"
    FROM "t1" AS "t2"
    GROUP BY
      1
  ) AS "t5"
    ON "t3"."seq" = "t5"."seq"
) AS "t6"
ORDER BY
  "t6"."seq" ASC
