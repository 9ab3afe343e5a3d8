-- Compiled from projections.py by `make sql`.
SELECT
  "t5"."seq",
  "t5"."id",
  "t5"."ts",
  "t5"."kind",
  "t5"."sender",
  "t5"."ref",
  "t5"."run",
  "t5"."data",
  "t5"."hash"
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
      "t3"."persona",
      ROW_NUMBER() OVER (
        PARTITION BY "t3"."persona"
        ORDER BY "t3"."seq" DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ) - 1 AS "rank"
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t1"."v",
          "t1"."seq",
          "t1"."id",
          "t1"."ts",
          "t1"."kind",
          "t1"."sender",
          "t1"."recipients",
          "t1"."subject",
          "t1"."body",
          "t1"."thread",
          "t1"."reply_to",
          "t1"."priority",
          "t1"."ref",
          "t1"."run",
          "t1"."data",
          "t1"."prev",
          "t1"."hash",
          CASE
            WHEN JSON_TYPE("t1"."data" -> '$.persona') = 'VARCHAR'
            THEN (
              "t1"."data" -> '$.persona'
            ) ->> '$'
            ELSE NULL
          END AS "persona"
        FROM (
          SELECT
            *
          FROM "events" AS "t0"
          WHERE
            "t0"."sender" = 'scheduler' AND "t0"."ts" >= $since
        ) AS "t1"
        WHERE
          "t1"."kind" IN ('run.finished', 'run.lost')
      ) AS "t2"
      WHERE
        ARRAY_CONTAINS(CAST($roster AS TEXT[]), "t2"."persona")
    ) AS "t3"
  ) AS "t4"
  WHERE
    "t4"."rank" < CAST($most AS BIGINT)
) AS "t5"
ORDER BY
  "t5"."seq" ASC
