// Package snapshot takes backups of live etcd clusters, keeps them in a
// catalog, and proves them.
//
// A save is one stream from one member. It lands in a spool at the speed of
// the member, while stores read the spool as it grows; see [Save]. Nothing
// gets its name, neither file nor manifest, before the ladder was climbed:
// digest, page structure, records, and where it is cheap the HashKV of the
// live member; see [Verify]. The package writes objects once and never
// changes or deletes one.
package snapshot
