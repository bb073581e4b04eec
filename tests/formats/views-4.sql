PRAGMA application_id = 1129402998;
PRAGMA user_version = 4;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _witness (
        store TEXT NOT NULL,
        position INTEGER NOT NULL,
        log_checksum TEXT NOT NULL,
        checksum TEXT NOT NULL
    ) STRICT;
INSERT INTO _witness VALUES('3b6e1b8214e76fd5e1ca983371a084cf',6,'81a8f0cf0d700fcc','ddd9f4b5f9e6f450');
CREATE TABLE _views (
        name TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        store TEXT NOT NULL,
        position INTEGER NOT NULL,
        log_checksum TEXT NOT NULL,
        rows INTEGER NOT NULL,
        digest TEXT NOT NULL,
        state TEXT NOT NULL,
        columns TEXT NOT NULL,
        checksum TEXT NOT NULL
    ) STRICT;
INSERT INTO _views VALUES('customer_purchases','0692a93cea160dad1c67741b4ba45a00','3b6e1b8214e76fd5e1ca983371a084cf',6,'81a8f0cf0d700fcc',3,'dcd44d45c76c2707','live','"customer" TEXT, "item" TEXT, "total_qty" INTEGER','6824ffe1cbadf85a');
CREATE TABLE IF NOT EXISTS "rows$customer_purchases" ("$id" INTEGER PRIMARY KEY, "$shown" INTEGER NOT NULL, "$checksum" INTEGER NOT NULL, "$rendered" INTEGER NOT NULL, "$key" BLOB NOT NULL, "$state" BLOB NOT NULL, "customer" TEXT, "item" TEXT, "total_qty" INTEGER);
INSERT INTO "rows$customer_purchases" VALUES(0,1,1920721437009042653,-2011245421,X'6a736d6974680000686174730000',X'8000000000000002','jsmith','hats',2);
INSERT INTO "rows$customer_purchases" VALUES(1,1,5543411885188260444,-2035305388,X'6a736d697468000070616e74730000',X'8000000000000001','jsmith','pants',1);
INSERT INTO "rows$customer_purchases" VALUES(2,1,8448295023303337934,288409899,X'6a736d697468000073776561746572730000',X'8000000000000001','jsmith','sweaters',1);
CREATE VIEW "customer_purchases" AS SELECT "customer", "item", "total_qty" FROM "rows$customer_purchases" WHERE "$shown";
COMMIT;
