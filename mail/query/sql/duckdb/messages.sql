-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    "t2"."v",
    "t2"."seq",
    "t2"."id",
    "t2"."ts",
    "t2"."kind",
    "t2"."sender",
    "t2"."recipients",
    "t2"."subject",
    "t2"."body",
    "t2"."thread",
    "t2"."reply_to",
    "t2"."priority",
    "t2"."ref",
    "t2"."run",
    "t2"."data",
    "t2"."prev",
    "t2"."hash"
  FROM (
    SELECT
      *
    FROM "events" AS "t0"
    WHERE
      "t0"."kind" = 'mail.sent'
  ) AS "t2"
  SEMI JOIN (
    SELECT
      UNNEST(CAST($ids AS TEXT[])) AS "item"
  ) AS "t4"
    ON "t2"."id" = "t4"."item"
) AS "t5"
ORDER BY
  "t5"."seq" DESC
