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
    "t1"."thread" = $thread
) AS "t2"
ORDER BY
  "t2"."seq" ASC
