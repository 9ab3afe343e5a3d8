-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    *
  FROM (
    SELECT
      *
    FROM "events" AS "t0"
    WHERE
      "t0"."kind" = 'mail.sent'
  ) AS "t1"
  WHERE
    ARRAY_CONTAINS(CAST($ids AS TEXT[]), "t1"."id")
) AS "t2"
ORDER BY
  "t2"."seq" DESC
