-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    *
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
        "t1"."hash"
      FROM "events" AS "t1"
      SEMI JOIN (
        SELECT
          "t3"."seq"
        FROM (
          SELECT
            *
          FROM (
            SELECT
              *
            FROM "events" AS "t0"
            WHERE
              "t0"."kind" = 'mail.sent'
          ) AS "t2"
          WHERE
            (
              "t2"."seq" = CAST($seq AS BIGINT)
            )
            OR STARTS_WITH("t2"."id", $key)
        ) AS "t3"
        ORDER BY
          "t3"."seq" ASC
        LIMIT 3
      ) AS "t6"
        ON "t1"."seq" = "t6"."seq"
    ) AS "t7"
    WHERE
      "t7"."kind" = 'mail.sent'
  ) AS "t8"
  WHERE
    (
      "t8"."seq" = CAST($seq AS BIGINT)
    )
    OR STARTS_WITH("t8"."id", $key)
) AS "t9"
ORDER BY
  "t9"."seq" ASC
