#include "db.h"

/* Of an object or extent, `uses` and the counts of buckets are changed in the transaction that
 * changes the names. An extent with `data` NULL is a file. One of 0 uses is a file that can be
 * removed, and then its row. */
/* Of extent ?1. */
#define COPY_LACKS                                                              \
    "max(0, wants - (SELECT count(*) FROM copy c JOIN node n ON n.id = c.node " \
    "WHERE c.extent = ?1 AND c.gone = 0 AND n.state = 0))"

const char *const db_sql[SQL_COUNT] = {
    [SQL_BEGIN_READ] = "BEGIN",
    [SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_SAVE] = "SAVEPOINT change",
    [SQL_SAVE_UNDO] = "ROLLBACK TO change",
    [SQL_SAVE_END] = "RELEASE change",

    [SQL_BUCKET_FIND] = "SELECT id, versioning, objects, versions, spill, encrypt, replicas, "
                        "memory FROM bucket WHERE name = ?1",
    [SQL_BUCKET_STAT] = "SELECT created_ns, objects, bytes, config, versioning, versions, "
                        "version_bytes FROM bucket WHERE name = ?1",
    [SQL_BUCKET_LIST] = "SELECT name, created_ns, objects, bytes, versioning, versions, "
                        "version_bytes FROM bucket ORDER BY name",
    [SQL_BUCKET_ADD] = "INSERT INTO bucket(name, created_ns, config) VALUES (?1, ?2, ?3)",
    [SQL_BUCKET_REMOVE] = "DELETE FROM bucket WHERE id = ?1",
    [SQL_BUCKET_CONFIG] = "UPDATE bucket SET config = ?2 WHERE id = ?1",
    /* what is added and what is taken away, so that no parameter is negative */
    [SQL_BUCKET_COUNT] = "UPDATE bucket SET objects = objects + ?2 - ?3, bytes = bytes + ?4 - ?5 "
                         "WHERE id = ?1",
    [SQL_BUCKET_VERSIONING] = "UPDATE bucket SET versioning = ?2 WHERE id = ?1",
    [SQL_BUCKET_VERSION_COUNT] =
        "UPDATE bucket SET versions = versions + ?2 - ?3, version_bytes = version_bytes + ?4 - ?5 "
        "WHERE id = ?1",
    [SQL_COUNTERS] = "SELECT count(*), coalesce(sum(objects), 0), coalesce(sum(bytes), 0), "
                     "(SELECT count(*) FROM upload), coalesce(sum(versions), 0), "
                     "coalesce(sum(version_bytes), 0) FROM bucket",

    [SQL_OBJECT_FIND] = "SELECT size, modified_ns, etag, attributes, layout, seq, named, parts, "
                        "0 FROM object WHERE bucket = ?1 AND key = ?2",
    [SQL_OBJECT_SET] =
        "REPLACE INTO object(bucket, key, size, modified_ns, etag, attributes, layout, seq, named, "
        "parts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [SQL_OBJECT_REMOVE] = "DELETE FROM object WHERE bucket = ?1 AND key = ?2",
    /* from ?2 on, below ?3 (NULL: no end) */
    [SQL_OBJECT_LIST] = "SELECT key, size, modified_ns, etag, layout FROM object "
                        "WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3) ORDER BY key",
    [SQL_OBJECT_LAYOUTS] = "SELECT layout, size, key, bucket FROM object",
    [SQL_OBJECT_TOTALS] = "SELECT b.id, b.name, b.objects, b.bytes, count(o.key), "
                          "coalesce(sum(o.size), 0) FROM bucket b LEFT JOIN object o "
                          "ON o.bucket = b.id GROUP BY b.id",

    [SQL_OBJECT_ATTRIBUTES] = "UPDATE object SET attributes = ?3 WHERE bucket = ?1 AND key = ?2",

    /* Versions that are not the current one, and markers of deletes. */
    [SQL_VERSION_ADD] =
        "INSERT INTO version(bucket, key, seq, named, marker, size, modified_ns, etag, attributes, "
        "layout, parts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [SQL_VERSION_FIND] = "SELECT size, modified_ns, etag, attributes, layout, seq, named, parts, "
                         "marker FROM version WHERE bucket = ?1 AND key = ?2 AND seq = ?3 "
                         "AND named = 1",
    [SQL_VERSION_NULL] = "SELECT size, modified_ns, etag, attributes, layout, seq, named, parts, "
                         "marker FROM version WHERE bucket = ?1 AND key = ?2 AND named = 0",
    [SQL_VERSION_NEWEST] = "SELECT size, modified_ns, etag, attributes, layout, seq, named, parts, "
                           "marker FROM version WHERE bucket = ?1 AND key = ?2 "
                           "ORDER BY seq DESC LIMIT 1",
    [SQL_VERSION_REMOVE] = "DELETE FROM version WHERE bucket = ?1 AND key = ?2 AND seq = ?3",
    [SQL_VERSION_ATTRIBUTES] =
        "UPDATE version SET attributes = ?4 WHERE bucket = ?1 AND key = ?2 AND seq = ?3",
    /* with the current ones; both halves are in this order already */
    [SQL_VERSION_LIST] =
        "SELECT key, seq, named, 0, size, modified_ns, etag FROM object WHERE bucket = ?1 "
        "AND key >= ?2 AND (?3 IS NULL OR key < ?3) UNION ALL "
        "SELECT key, seq, named, marker, size, modified_ns, etag FROM version WHERE bucket = ?1 "
        "AND key >= ?2 AND (?3 IS NULL OR key < ?3) ORDER BY 1, 2 DESC",
    [SQL_VERSION_LAYOUTS] = "SELECT layout, size, key, bucket FROM version",
    [SQL_VERSION_TOTALS] = "SELECT b.id, b.name, b.versions, b.version_bytes, count(v.key), "
                           "coalesce(sum(v.size), 0) FROM bucket b LEFT JOIN version v "
                           "ON v.bucket = b.id GROUP BY b.id",
    /* not older than the current one; or the newest, no marker, and no current one there */
    [SQL_VERSION_WRONG] =
        "SELECT v.key, o.key IS NULL FROM version v LEFT JOIN object o "
        "ON o.bucket = v.bucket AND o.key = v.key "
        "WHERE v.seq >= o.seq OR (o.key IS NULL AND v.marker = 0 AND NOT EXISTS (SELECT 1 "
        "FROM version n WHERE n.bucket = v.bucket AND n.key = v.key AND n.seq > v.seq))",

    /* A rename of a prefix takes its objects aside, to the bucket of the negative number, so
     * that new names are compared with those of the objects that stay only. */
    [SQL_PREFIX_LIMITS] = "SELECT count(*), min(length(key)), max(length(key)), "
                          "coalesce(sum(length(key)), 0) FROM object "
                          "WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3)",
    [SQL_PREFIX_ASIDE] =
        "UPDATE object SET bucket = -?1, key = CAST(?4 || substr(key, length(?2) + 1) AS BLOB) "
        "WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3)",
    [SQL_PREFIX_TAKEN] = "SELECT m.key FROM object m JOIN object o ON o.bucket = ?1 "
                         "AND o.key = m.key WHERE m.bucket = -?1 LIMIT 1",
    [SQL_PREFIX_BACK] = "UPDATE object SET bucket = ?1 WHERE bucket = -?1",

    [SQL_EXTENT_ADD] = "INSERT INTO extent(id, bytes, uses, sums, data, keep, tags, wants, lacks) "
                       "VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?7)",
    [SQL_EXTENT_GET] = "SELECT bytes, sums, data, place, nonce, tags IS NOT NULL FROM extent "
                       "WHERE id = ?1",
    [SQL_EXTENT_USE] = "UPDATE extent SET uses = uses + 1 WHERE id = ?1",
    [SQL_EXTENT_DROP_INLINE] = "DELETE FROM extent WHERE id = ?1 AND uses = 1 AND data IS NOT NULL",
    [SQL_EXTENT_DROP] =
        "UPDATE extent SET uses = uses - 1 WHERE id = ?1 AND uses > 0 RETURNING uses",
    [SQL_EXTENT_FORGET] = "DELETE FROM extent WHERE id = ?1 AND uses = 0 AND nonce = 0",
    [SQL_EXTENT_BURY] = "UPDATE extent SET place = (place | 9) & ~4 WHERE id = ?1 AND uses = 0 "
                        "AND nonce <> 0",
    [SQL_EXTENT_UNUSED] = "SELECT id FROM extent WHERE uses = 0 AND place < 8",
    [SQL_EXTENT_LAST] = "SELECT coalesce(max(id), 0) FROM extent",
    [SQL_EXTENT_LIST] = "SELECT id, uses, bytes, tags IS NOT NULL FROM extent WHERE id > ?1 "
                        "ORDER BY id",
    [SQL_EXTENT_HERE] = "SELECT id FROM extent WHERE id > ?1 AND uses > 0 AND data IS NULL "
                        "AND (place & 1) = 0 ORDER BY id LIMIT ?2",
    [SQL_EXTENT_SET_USES] = "UPDATE extent SET uses = ?2 WHERE id = ?1",

    /* Keys of encrypted extents, which go with their rows (extent_seal). */
    [SQL_SEAL_SET] = "REPLACE INTO seal(extent, master, record) VALUES (?1, ?2, ?3)",
    [SQL_SEAL_GET] = "SELECT e.tags, s.master, s.record FROM extent e LEFT JOIN seal s "
                     "ON s.extent = e.id WHERE e.id = ?1",
    [SQL_SEAL_COUNTS] = "SELECT master, count(*) FROM seal GROUP BY master LIMIT ?1",
    [SQL_SEAL_OTHERS] = "SELECT extent, master, record FROM seal WHERE master <> ?1 "
                        "AND extent > ?2 ORDER BY extent LIMIT ?3",
    [SQL_SEAL_NEEDS] = "SELECT count(*) FROM seal WHERE master = ?1",

    /* Where the bytes of files are: enum place in place.h. */
    [SQL_PLACE_GET] =
        "SELECT bytes, uses, place, nonce, keep, sums, data IS NULL, tags IS NOT NULL "
        "FROM extent WHERE id = ?1",
    /* a damaged row is no reason for a sum that is too long for a number */
    [SQL_PLACE_TOTALS] =
        "SELECT place, keep, count(*), sum(min(max(bytes, 0), 1 << 30)) FROM extent "
        "WHERE data IS NULL GROUP BY place, keep",
    [SQL_PLACE_LIST] = "SELECT id, bytes FROM extent WHERE data IS NULL AND place = ?1 "
                       "AND keep = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
    [SQL_PLACE_NAME] = "UPDATE extent SET nonce = ?2 WHERE id = ?1 AND nonce = 0 AND uses > 0 "
                       "AND data IS NULL",
    [SQL_PLACE_SENT] = "UPDATE extent SET place = place | 2 WHERE id = ?1 AND nonce = ?2",
    [SQL_PLACE_UNSENT] = "UPDATE extent SET place = 0 WHERE id = ?1 AND nonce = ?2 AND place = 2",
    /* ?2: also what is kept */
    [SQL_PLACE_DROP] = "UPDATE extent SET place = 7 WHERE id = ?1 AND place = 2 AND uses > 0 "
                       "AND (keep <> 1 OR ?2) RETURNING 1",
    [SQL_PLACE_DROPPING] = "SELECT id FROM extent WHERE data IS NULL AND place = 7",
    [SQL_PLACE_DROPPED] = "UPDATE extent SET place = 3 WHERE id = ?1 AND place = 7",
    [SQL_PLACE_BACK] = "UPDATE extent SET place = 2 WHERE id = ?1 AND uses > 0 "
                       "AND place IN (3, 7) RETURNING 1",
    [SQL_PLACE_KEEP] = "UPDATE extent SET keep = ?2 WHERE id = ?1 AND data IS NULL",
    [SQL_PLACE_GONE] = "SELECT id, bytes, nonce, place FROM extent WHERE uses = 0 AND place >= 8 "
                       "AND (place, id) > (?2, ?3) ORDER BY place, id LIMIT ?1",
    [SQL_PLACE_DELETED] = "DELETE FROM extent WHERE id = ?1 AND uses = 0 AND place >= 8",
    [SQL_SENDING_SET] = "REPLACE INTO sending(extent, upload) VALUES (?1, ?2)",
    [SQL_SENDING_GET] = "SELECT upload FROM sending WHERE extent = ?1",
    [SQL_SENDING_END] = "DELETE FROM sending WHERE extent = ?1",
    [SQL_STORE_ID] = "SELECT id FROM store",
    [SQL_BUCKET_SPILL] = "UPDATE bucket SET spill = ?2 WHERE id = ?1",
    [SQL_BUCKET_MEMORY] = "UPDATE bucket SET memory = ?2 WHERE id = ?1",
    [SQL_BUCKET_REPLICAS] = "UPDATE bucket SET replicas = ?2 WHERE id = ?1",

    /* Copies on nodes: those of nodes with state 0 count. */
    [SQL_NODE_JOIN] = "INSERT INTO node(key, name, joined_ns, seen_ns) VALUES (?1, ?2, ?3, ?3) "
                      "ON CONFLICT(key) DO UPDATE SET name = ?2, seen_ns = ?3",
    [SQL_NODE_FIND] = "SELECT id, state FROM node WHERE key = ?1",
    [SQL_NODE_NAMED] = "SELECT id FROM node WHERE name = ?1 AND key <> ?2",
    [SQL_NODE_LIST] = "SELECT id, key, name, joined_ns, seen_ns, state FROM node ORDER BY name, id "
                      "LIMIT ?1",
    [SQL_NODE_SEEN] = "UPDATE node SET seen_ns = ?2 WHERE id = ?1",
    [SQL_NODE_STATE] = "UPDATE node SET state = ?2 WHERE id = ?1",
    [SQL_NODE_COPIES] = "SELECT c.extent, c.nonce, e.bytes FROM copy c JOIN extent e "
                        "ON e.id = c.extent WHERE c.node = ?1 AND c.gone = 0 "
                        "AND (c.extent, c.nonce) > (?2, ?3) ORDER BY c.extent, c.nonce LIMIT ?4",
    [SQL_NODE_FORGET_COPIES] = "DELETE FROM copy WHERE node = ?1 AND extent >= ?2 AND extent <= ?3",
    [SQL_NODE_FORGET] = "DELETE FROM node WHERE id = ?1",
    [SQL_COPY_ADD] = "REPLACE INTO copy(node, extent, nonce) SELECT ?1, ?2, ?3 FROM extent e "
                     "JOIN node n ON n.id = ?1 WHERE e.id = ?2 AND e.uses > 0",
    [SQL_COPY_GONE] = "UPDATE copy SET gone = 1 WHERE node = ?1 AND extent = ?2 AND nonce = ?3",
    [SQL_COPY_COUNT] = "UPDATE extent SET lacks = " COPY_LACKS
                       " WHERE id = ?1 AND lacks <> " COPY_LACKS,
    /* of one that came back: are there enough without it? */
    [SQL_COPY_SURPLUS] =
        "UPDATE copy SET gone = 1 WHERE node = ?1 AND extent = ?2 AND gone = 0 "
        "AND (SELECT wants FROM extent WHERE id = ?2) <= (SELECT count(*) FROM copy c "
        "JOIN node n ON n.id = c.node WHERE c.extent = ?2 AND c.gone = 0 AND c.node <> ?1 "
        "AND n.state = 0)",
    /* copies that count and are more than are wanted */
    [SQL_COPY_EXTRA] = "SELECT max(0, count(*) - (SELECT wants FROM extent WHERE id = ?1)) "
                       "FROM copy c JOIN node n ON n.id = c.node WHERE c.extent = ?1 "
                       "AND c.gone = 0 AND n.state = 0",
    [SQL_COPY_TRIM] = "UPDATE copy SET gone = 1 WHERE extent = ?1 AND (node, nonce) IN ("
                      "SELECT c.node, c.nonce FROM copy c JOIN node n ON n.id = c.node "
                      "WHERE c.extent = ?1 AND c.gone = 0 AND n.state = 0 ORDER BY c.node, c.nonce "
                      "LIMIT -1 OFFSET (SELECT wants FROM extent WHERE id = ?1))",
    /* extents that have some of those, in the order of the index */
    [SQL_COPY_MANY] = "SELECT c.extent FROM copy c CROSS JOIN node n ON n.id = c.node "
                      "CROSS JOIN extent e ON e.id = c.extent WHERE c.extent > ?1 AND c.gone = 0 "
                      "AND n.state = 0 GROUP BY c.extent HAVING count(*) > max(e.wants) "
                      "ORDER BY c.extent LIMIT ?2",
    [SQL_COPY_OF] = "SELECT node, nonce FROM copy WHERE extent = ?1 AND gone = 0 ORDER BY node "
                    "LIMIT ?2",
    [SQL_COPY_ANY] = "SELECT EXISTS (SELECT 1 FROM copy)",
    [SQL_COPY_TO_REMOVE] = "SELECT extent, nonce FROM copy WHERE node = ?1 AND gone = 1 LIMIT ?2",
    [SQL_COPY_REMOVED] =
        "DELETE FROM copy WHERE node = ?1 AND extent = ?2 AND nonce = ?3 AND gone = 1",
    /* what went to the tier has no bytes here to make copies of */
    [SQL_COPY_LACKING] = "SELECT id, bytes, lacks FROM extent WHERE lacks > 0 AND place & 1 = 0 "
                         "AND id > ?1 AND uses > 0 ORDER BY id LIMIT ?2",
    [SQL_COPY_TOTALS] = "SELECT count(*), sum(min(max(bytes, 0), 1 << 30)) FROM extent "
                        "WHERE lacks > 0 AND place & 1 = 0",
    [SQL_COPY_WANT] = "UPDATE extent SET wants = CASE WHEN uses > 1 THEN max(wants, ?2) "
                      "ELSE ?2 END WHERE id = ?1 AND data IS NULL",
    [SQL_COPY_LAYOUTS] = "SELECT key, layout, size FROM object WHERE bucket = ?1 AND key >= ?2 "
                         "AND key < ?3 ORDER BY key LIMIT ?4",
    [SQL_BUCKET_ENCRYPT] = "UPDATE bucket SET encrypt = ?2 WHERE id = ?1",

    [SQL_UPLOAD_ADD] = "INSERT INTO upload(id, bucket, key, created_ns, attributes, encrypt) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [SQL_UPLOAD_FIND] = "SELECT attributes, encrypt FROM upload WHERE id = ?1 AND bucket = ?2 "
                        "AND key = ?3",
    [SQL_UPLOAD_REMOVE] = "DELETE FROM upload WHERE id = ?1",
    [SQL_UPLOAD_LIST] = "SELECT id, key, created_ns FROM upload WHERE bucket = ?1 "
                        "AND (key, id) > (?2, ?3) AND key >= ?4 AND (?5 IS NULL OR key < ?5) "
                        "ORDER BY key, id LIMIT ?6",
    [SQL_UPLOAD_FIRST] = "SELECT id FROM upload WHERE bucket = ?1 LIMIT 1",
    [SQL_PART_FIND] = "SELECT size, md5, layout, sum FROM part WHERE upload = ?1 AND number = ?2",
    [SQL_PART_SET] = "REPLACE INTO part(upload, number, size, modified_ns, md5, layout, sum) "
                     "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SQL_PART_LIST] = "SELECT number, size, modified_ns, md5, sum FROM part WHERE upload = ?1 "
                      "AND number > ?2 ORDER BY number LIMIT ?3",
    [SQL_PART_LAYOUTS] = "SELECT layout, size FROM part WHERE upload = ?1",
    [SQL_PART_REMOVE_ALL] = "DELETE FROM part WHERE upload = ?1",
    [SQL_PART_ALL_LAYOUTS] = "SELECT layout, size, CAST('part ' || number AS BLOB), 0 FROM part",
    [SQL_CHECK] = "PRAGMA quick_check(100)",

    /* What controllers share through a log: sharing.h. */
    [SQL_SCHEMA_TABLES] = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
    [SQL_SCHEMA_COLUMNS] = "SELECT pk, name FROM pragma_table_info(?1) ORDER BY cid",
    [SQL_SHARED_GET] = "SELECT log, applied, term, chain FROM shared",
    [SQL_SHARED_SET] = "UPDATE shared SET applied = ?1, term = ?2, chain = ?3",
    [SQL_SHARED_BEGIN] = "REPLACE INTO shared(one, log, applied, term, chain) "
                         "SELECT 1, ?1, 0, max((SELECT coalesce(max(id), 0) >> 40 FROM extent), "
                         "(SELECT coalesce(max(term), 0) FROM shared_term)), zeroblob(32)",
    [SQL_SHARED_ADD_TERM] = "REPLACE INTO shared_term(term, address) VALUES (?1, ?2)",
    [SQL_SHARED_ADD_FIRST] = "REPLACE INTO shared_first(term, entry, chain) VALUES (?1, ?2, ?3)",
    /* of term ?1, if it is known, and of those behind */
    [SQL_SHARED_FIRSTS] = "SELECT term, entry, chain, (SELECT min(term) FROM shared_first) "
                          "FROM shared_first WHERE term >= ?1 ORDER BY term LIMIT 2",
    [SQL_SHARED_LEADERS] = "SELECT term, address FROM shared_term WHERE address <> ''",
    [SQL_SHARED_WAS] = "SELECT 1 FROM sqlite_schema WHERE name = 'shared_term'",
    [SQL_SHARED_LAST_TERM] = "SELECT coalesce(max(term), 0) FROM shared_term",
};
