-- Compiled from projections.py by `make sql`.
SELECT
  "t7"."seq",
  "t7"."id",
  "t7"."ts",
  "t7"."kind",
  "t7"."sender",
  "t7"."ref",
  "t7"."run",
  "t7"."data",
  "t7"."hash"
FROM (
  SELECT
    *
  FROM (
    SELECT
      "t3"."v",
      "t3"."seq",
      "t3"."id",
      "t3"."ts",
      "t3"."kind",
      "t3"."sender",
      "t3"."recipients",
      "t3"."subject",
      "t3"."body",
      "t3"."thread",
      "t3"."reply_to",
      "t3"."priority",
      "t3"."ref",
      "t3"."run",
      "t3"."data",
      "t3"."prev",
      "t3"."hash",
      "t5"."began",
      "t5"."held"
    FROM (
      SELECT
        *
      FROM "events" AS "t0"
      WHERE
        REGEXP_MATCHES("t0"."kind", '^(sprint|tick|run|patch|weave|gate|persona|budget|scheduler)\.')
        AND CASE
          WHEN JSON_TYPE("t0"."data" -> '$.dispatch') = 'VARCHAR'
          THEN (
            "t0"."data" -> '$.dispatch'
          ) ->> '$'
          ELSE NULL
        END IS NULL
        AND (
          (
            "t0"."kind" <> 'tick.done'
          )
          OR (
            CASE
              WHEN JSON_TYPE("t0"."data" -> '$.idle') = 'VARCHAR'
              THEN (
                "t0"."data" -> '$.idle'
              ) ->> '$'
              ELSE NULL
            END IS NULL
          )
        )
    ) AS "t3"
    CROSS JOIN (
      SELECT
        COALESCE(MAX("t1"."seq") FILTER(WHERE
          "t1"."kind" = 'sprint.started'), 0) AS "began",
        COALESCE(
          ARRAY_AGG("t1"."ref") FILTER(WHERE
            "t1"."ref" IS NOT NULL AND "t1"."kind" = 'patch.held'),
          []
        ) AS "held"
      FROM (
        SELECT
          *
        FROM "events" AS "t0"
        WHERE
          NOT (
            CAST($whole AS BOOLEAN)
          )
          AND "t0"."kind" IN ('sprint.started', 'patch.held')
      ) AS "t1"
    ) AS "t5"
  ) AS "t6"
  WHERE
    CAST($whole AS BOOLEAN)
    OR (
      (
        "t6"."seq" >= "t6"."began"
      )
      OR ARRAY_CONTAINS("t6"."held", "t6"."run")
      OR ARRAY_CONTAINS("t6"."held", "t6"."ref")
    )
    OR REGEXP_MATCHES("t6"."kind", '^(sprint|gate|scheduler)\.')
) AS "t7"
ORDER BY
  "t7"."seq" ASC
