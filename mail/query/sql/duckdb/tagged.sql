-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    "t6"."tag",
    COUNT(*) AS "messages"
  FROM (
    SELECT
      UNNEST("t5"."tags") AS "tag"
    FROM (
      SELECT
        "t4"."ref",
        LIST_SORT(ARRAY_AGG("t4"."tag") FILTER(WHERE
          "t4"."tag" IS NOT NULL)) AS "tags"
      FROM (
        SELECT
          *
        FROM (
          SELECT
            "t2"."ref",
            "t2"."tag",
            FIRST("t2"."kind" ORDER BY "t2"."seq" DESC) AS "kind"
          FROM (
            SELECT
              "t1"."seq",
              "t1"."id",
              "t1"."ts",
              "t1"."kind",
              "t1"."sender",
              "t1"."recipients",
              "t1"."subject",
              "t1"."thread",
              "t1"."reply_to",
              "t1"."priority",
              "t1"."ref",
              "t1"."run",
              "t1"."data",
              CASE
                WHEN JSON_TYPE("t1"."data" -> '$.tag') = 'VARCHAR'
                THEN (
                  "t1"."data" -> '$.tag'
                ) ->> '$'
                ELSE NULL
              END AS "tag"
            FROM (
              SELECT
                *
              FROM "mailbox" AS "t0"
              WHERE
                "t0"."sender" = $persona
            ) AS "t1"
            WHERE
              "t1"."kind" IN ('mail.tagged', 'mail.untagged')
          ) AS "t2"
          GROUP BY
            1,
            2
        ) AS "t3"
        WHERE
          "t3"."kind" = 'mail.tagged'
      ) AS "t4"
      GROUP BY
        1
    ) AS "t5"
  ) AS "t6"
  GROUP BY
    1
) AS "t7"
ORDER BY
  "t7"."tag" ASC
