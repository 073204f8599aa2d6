-- A small shop: a hundred thousand order lines, an index, and the questions one asks.
CREATE TABLE line (id INTEGER PRIMARY KEY, customer INTEGER, product TEXT, pieces INTEGER, price REAL);
WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
INSERT INTO line SELECT i, (i * 7919) % 997, 'p' || ((i * 31) % 53), 1 + i % 9, ((i * 37) % 10000) / 100.0 FROM n;
CREATE INDEX line_customer ON line (customer);
.mode column
.headers on
SELECT product, count(*) AS lines, sum(pieces) AS pieces, round(sum(pieces * price), 2) AS revenue
FROM line GROUP BY product ORDER BY revenue DESC LIMIT 5;
SELECT customer, round(avg(price), 3) AS mean FROM line WHERE customer BETWEEN 10 AND 12 GROUP BY customer;
SELECT count(*) AS pairs FROM line a JOIN line b ON a.customer = b.customer AND a.product = b.product AND a.id < b.id
WHERE a.customer < 20;
PRAGMA integrity_check;
