// Package snapshot takes backups of live etcd clusters, keeps them in a
// catalog, and proves them.
//
// A save is one stream from one member. It lands in a spool at the speed of
// the member, while stores read the spool as it grows; see [Save]. Nothing
// gets its name, neither file nor manifest, before the ladder was climbed:
// digest, page structure, records, and where it is cheap the HashKV of the
// live member; see [Verify].
//
// Objects are written once and never changed. Whatever a record has to say that
// was not known before is another object: a report, a hold, its release. Only
// [Catalog.Remove], and the leftovers of a [PrunePlan], delete.
package snapshot
