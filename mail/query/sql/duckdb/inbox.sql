-- Compiled from projections.py by `make sql`.
WITH "t1" AS (
  SELECT
    *
  FROM "mailbox" AS "t0"
  WHERE
    "t0"."seq" <= CAST($as_of_seq AS BIGINT)
    AND "t0"."ts" <= $as_of_ts
), "t4" AS (
  SELECT
    *
  FROM "t1" AS "t2"
  WHERE
    "t2"."sender" = $persona
)
SELECT
  *
FROM (
  SELECT
    *
  FROM (
    SELECT
      "t7"."seq",
      "t7"."id",
      "t7"."ts",
      "t7"."sender",
      "t7"."recipients",
      "t7"."subject",
      COALESCE(
        CASE
          WHEN JSON_TYPE("t7"."data" -> '$.type') = 'VARCHAR'
          THEN (
            "t7"."data" -> '$.type'
          ) ->> '$'
          ELSE NULL
        END,
        'note'
      ) AS "type",
      "t7"."priority",
      "t7"."thread",
      "t7"."reply_to",
      "t7"."run",
      "t7"."data",
      COALESCE("t13"."read", FALSE) AS "read",
      COALESCE("t13"."acked", FALSE) AS "acked",
      COALESCE("t13"."archived", FALSE) AS "archived",
      COALESCE("t13"."trashed", FALSE) AS "trashed",
      COALESCE("t13"."answered", FALSE) AS "answered",
      COALESCE("t15"."tags", []) AS "tags"
    FROM (
      SELECT
        *
      FROM (
        SELECT
          *
        FROM "t1" AS "t2"
        WHERE
          "t2"."kind" = 'mail.sent'
      ) AS "t3"
      WHERE
        ARRAY_CONTAINS("t3"."recipients", $persona)
    ) AS "t7"
    LEFT OUTER JOIN (
      SELECT
        "t9"."ref",
        COALESCE(MAX("t9"."seq") FILTER(WHERE
          "t9"."kind" = 'mail.read'), 0) > COALESCE(MAX("t9"."seq") FILTER(WHERE
          "t9"."kind" = 'mail.unread'), 0) AS "read",
        COALESCE(MAX("t9"."seq") FILTER(WHERE
          "t9"."kind" = 'mail.acked'), 0) > 0 AS "acked",
        COALESCE(MAX("t9"."seq") FILTER(WHERE
          "t9"."kind" = 'mail.archived'), 0) > COALESCE(MAX("t9"."seq") FILTER(WHERE
          "t9"."kind" = 'mail.unarchived'), 0) AS "archived",
        COALESCE(MAX("t9"."seq") FILTER(WHERE
          "t9"."kind" = 'mail.trashed'), 0) > COALESCE(MAX("t9"."seq") FILTER(WHERE
          "t9"."kind" = 'mail.restored'), 0) AS "trashed",
        COALESCE(MAX("t9"."seq") FILTER(WHERE
          "t9"."kind" = 'mail.sent'), 0) > 0 AS "answered",
        COALESCE(MAX("t9"."seq") FILTER(WHERE
          "t9"."kind" = 'mail.bounced'), 0) > 0 AS "bounced"
      FROM (
        SELECT
          "t5"."seq",
          "t5"."kind",
          CASE WHEN "t5"."kind" = 'mail.sent' THEN "t5"."reply_to" ELSE "t5"."ref" END AS "ref",
          CASE
            WHEN "t5"."kind" = 'mail.bounced'
            THEN CASE
              WHEN JSON_TYPE("t5"."data" -> '$.recipient') = 'VARCHAR'
              THEN (
                "t5"."data" -> '$.recipient'
              ) ->> '$'
              ELSE NULL
            END
            ELSE "t5"."sender"
          END AS "persona"
        FROM "t4" AS "t5"
        WHERE
          STARTS_WITH("t5"."kind", 'mail.')
          AND CASE WHEN "t5"."kind" = 'mail.sent' THEN "t5"."reply_to" ELSE "t5"."ref" END IS NOT NULL
      ) AS "t9"
      GROUP BY
        1
    ) AS "t13"
      ON "t7"."id" = "t13"."ref"
    LEFT OUTER JOIN (
      SELECT
        "t11"."ref",
        LIST_SORT(ARRAY_AGG("t11"."tag") FILTER(WHERE
          "t11"."tag" IS NOT NULL)) AS "tags"
      FROM (
        SELECT
          *
        FROM (
          SELECT
            "t8"."ref",
            "t8"."tag",
            FIRST("t8"."kind" ORDER BY "t8"."seq" DESC) AS "kind"
          FROM (
            SELECT
              "t5"."seq",
              "t5"."id",
              "t5"."ts",
              "t5"."kind",
              "t5"."sender",
              "t5"."recipients",
              "t5"."subject",
              "t5"."thread",
              "t5"."reply_to",
              "t5"."priority",
              "t5"."ref",
              "t5"."run",
              "t5"."data",
              CASE
                WHEN JSON_TYPE("t5"."data" -> '$.tag') = 'VARCHAR'
                THEN (
                  "t5"."data" -> '$.tag'
                ) ->> '$'
                ELSE NULL
              END AS "tag"
            FROM "t4" AS "t5"
            WHERE
              "t5"."kind" IN ('mail.tagged', 'mail.untagged')
          ) AS "t8"
          GROUP BY
            1,
            2
        ) AS "t10"
        WHERE
          "t10"."kind" = 'mail.tagged'
      ) AS "t11"
      GROUP BY
        1
    ) AS "t15"
      ON "t7"."id" = "t15"."ref"
  ) AS "t16"
  WHERE
    "t16"."seq" < CAST($before AS BIGINT)
    AND (
      (
        $session IS NULL
      )
      OR (
        CASE
          WHEN JSON_TYPE("t16"."data" -> '$.session') = 'VARCHAR'
          THEN (
            "t16"."data" -> '$.session'
          ) ->> '$'
          ELSE NULL
        END = $session
      )
    )
    AND CASE
      WHEN $state = 'all'
      THEN TRUE
      WHEN $state = 'trashed'
      THEN "t16"."trashed"
      WHEN $state = 'archived'
      THEN "t16"."archived" AND NOT (
        "t16"."trashed"
      )
      ELSE NOT (
        "t16"."archived"
      ) AND NOT (
        "t16"."trashed"
      )
    END
    AND (
      NOT (
        CAST($unread AS BOOLEAN)
      ) OR NOT (
        "t16"."read"
      )
    )
    AND (
      (
        $sender IS NULL
      ) OR (
        "t16"."sender" = $sender
      )
    )
    AND (
      (
        $type IS NULL
      ) OR (
        "t16"."type" = $type
      )
    )
    AND (
      (
        $tag IS NULL
      ) OR ARRAY_CONTAINS("t16"."tags", $tag)
    )
    AND (
      (
        CAST($ids AS TEXT[]) IS NULL
      )
      OR ARRAY_CONTAINS(CAST($ids AS TEXT[]), "t16"."id")
    )
) AS "t17"
ORDER BY
  "t17"."seq" DESC
LIMIT $limit
