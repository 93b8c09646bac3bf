package membership

import (
	"os"
	"path/filepath"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"google.golang.org/protobuf/proto"

	"github.com/etcdha/etcdha/membership/quorum"
)

// DataOwner is the member to whom the data directory dir belongs; 0 if there is
// none, or if that cannot be read, as where the WAL lies elsewhere. Every file
// of a WAL begins with a checksum and then the ids of the member and the cluster.
func DataOwner(dir string) quorum.ID {
	files, err := filepath.Glob(filepath.Join(dir, "member", "wal", "*.wal"))
	if err != nil || len(files) == 0 {
		return 0
	}
	f, err := os.Open(files[0])
	if err != nil {
		return 0
	}
	defer f.Close()
	decoder := wal.NewDecoder(fileutil.NewFileReader(f))
	for range 2 {
		var record walpb.Record
		if decoder.Decode(&record) != nil {
			return 0
		}
		switch record.GetType() {
		case wal.CrcType:
			decoder.UpdateCRC(record.GetCrc())
		case wal.MetadataType:
			var metadata etcdserverpb.Metadata
			if proto.Unmarshal(record.Data, &metadata) != nil {
				return 0
			}
			return quorum.ID(metadata.GetNodeID())
		}
	}
	return 0
}
