-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    "t2"."ref",
    "t2"."persona",
    COALESCE(MAX("t2"."seq") FILTER(WHERE
      "t2"."kind" = 'mail.read'), 0) > COALESCE(MAX("t2"."seq") FILTER(WHERE
      "t2"."kind" = 'mail.unread'), 0) AS "read",
    COALESCE(MAX("t2"."seq") FILTER(WHERE
      "t2"."kind" = 'mail.acked'), 0) > 0 AS "acked",
    COALESCE(MAX("t2"."seq") FILTER(WHERE
      "t2"."kind" = 'mail.archived'), 0) > COALESCE(MAX("t2"."seq") FILTER(WHERE
      "t2"."kind" = 'mail.unarchived'), 0) AS "archived",
    COALESCE(MAX("t2"."seq") FILTER(WHERE
      "t2"."kind" = 'mail.trashed'), 0) > COALESCE(MAX("t2"."seq") FILTER(WHERE
      "t2"."kind" = 'mail.restored'), 0) AS "trashed",
    COALESCE(MAX("t2"."seq") FILTER(WHERE
      "t2"."kind" = 'mail.sent'), 0) > 0 AS "answered",
    COALESCE(MAX("t2"."seq") FILTER(WHERE
      "t2"."kind" = 'mail.bounced'), 0) > 0 AS "bounced"
  FROM (
    SELECT
      "t1"."seq",
      "t1"."kind",
      CASE WHEN "t1"."kind" = 'mail.sent' THEN "t1"."reply_to" ELSE "t1"."ref" END AS "ref",
      CASE
        WHEN "t1"."kind" = 'mail.bounced'
        THEN CASE
          WHEN JSON_TYPE("t1"."data" -> '$.recipient') = 'VARCHAR'
          THEN (
            "t1"."data" -> '$.recipient'
          ) ->> '$'
          ELSE NULL
        END
        ELSE "t1"."sender"
      END AS "persona"
    FROM (
      SELECT
        *
      FROM "events" AS "t0"
      WHERE
        ARRAY_CONTAINS(CAST($ids AS TEXT[]), "t0"."ref")
        OR ARRAY_CONTAINS(CAST($ids AS TEXT[]), "t0"."reply_to")
    ) AS "t1"
    WHERE
      STARTS_WITH("t1"."kind", 'mail.')
      AND CASE WHEN "t1"."kind" = 'mail.sent' THEN "t1"."reply_to" ELSE "t1"."ref" END IS NOT NULL
  ) AS "t2"
  GROUP BY
    1,
    2
) AS "t3"
ORDER BY
  "t3"."ref" ASC,
  "t3"."persona" ASC
