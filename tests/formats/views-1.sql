PRAGMA application_id = 1129402998;
PRAGMA user_version = 1;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _views (
        name TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        store TEXT NOT NULL,
        position INTEGER NOT NULL,
        log_checksum TEXT NOT NULL,
        rows INTEGER NOT NULL,
        digest TEXT NOT NULL,
        state TEXT NOT NULL,
        columns TEXT NOT NULL
    ) STRICT;
INSERT INTO _views VALUES('customer_purchases','914852951cc5c76872605b85a01977fd','6a3672b8cc08c2e14292dc06ac81978c',6,'9f9445060973d827',3,'601e6071b432fd50','live','"customer" TEXT, "item" TEXT, "total_qty" INTEGER');
CREATE TABLE IF NOT EXISTS "rows$customer_purchases" ("$id" INTEGER PRIMARY KEY, "$shown" INTEGER NOT NULL, "$checksum" INTEGER NOT NULL, "$key" BLOB NOT NULL, "$state" BLOB NOT NULL, "customer" TEXT, "item" TEXT, "total_qty" INTEGER);
INSERT INTO "rows$customer_purchases" VALUES(0,1,-4395357101789293455,X'6a736d6974680000686174730000',X'8000000000000002','jsmith','hats',2);
INSERT INTO "rows$customer_purchases" VALUES(1,1,604543347184856854,X'6a736d697468000070616e74730000',X'8000000000000001','jsmith','pants',1);
INSERT INTO "rows$customer_purchases" VALUES(2,1,-7729851000691902007,X'6a736d697468000073776561746572730000',X'8000000000000001','jsmith','sweaters',1);
CREATE VIEW "customer_purchases" AS SELECT "customer", "item", "total_qty" FROM "rows$customer_purchases" WHERE "$shown";
COMMIT;
