-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
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
    FROM (
      SELECT
        *
      FROM "events" AS "t0"
      WHERE
        "t0"."seq" >= CAST($since AS BIGINT)
        AND REGEXP_MATCHES("t0"."kind", '^(run|patch)\.')
    ) AS "t3"
    SEMI JOIN (
      SELECT
        UNNEST(CAST($runs AS TEXT[])) AS "item"
    ) AS "t4"
      ON "t3"."run" = "t4"."item"
  ) AS "t5"
  UNION ALL
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
    FROM (
      SELECT
        *
      FROM "events" AS "t0"
      WHERE
        "t0"."seq" >= CAST($since AS BIGINT)
        AND REGEXP_MATCHES("t0"."kind", '^(run|patch)\.')
    ) AS "t3"
    SEMI JOIN (
      SELECT
        UNNEST(CAST($runs AS TEXT[])) AS "item"
    ) AS "t4"
      ON "t3"."ref" = "t4"."item"
  ) AS "t6"
) AS "t7"
ORDER BY
  "t7"."seq" ASC
