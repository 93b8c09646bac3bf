package apiserver

import "strconv"

// formatID writes a member or cluster id as etcdctl does.
func formatID(id uint64) string { return strconv.FormatUint(id, 16) }
