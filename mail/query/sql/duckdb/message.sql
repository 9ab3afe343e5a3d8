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
    (
      "t1"."seq" = CAST($seq AS BIGINT)
    )
    OR STARTS_WITH("t1"."id", $key)
) AS "t2"
ORDER BY
  "t2"."seq" ASC
LIMIT 3
