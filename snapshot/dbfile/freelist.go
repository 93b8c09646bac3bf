package dbfile

import "encoding/binary"

// freePages checks a stored freelist against the pages that a complete walk
// has reached, and returns the number of free pages. Without a stored
// freelist, as in every snapshot, what is not reached is free by definition.
func (w *walk) freePages() (int64, error) {
	f := w.file
	freed := newBitmap(f.meta.pages)
	if f.meta.freelist != noFreelist {
		if err := w.readFreelist(freed); err != nil {
			return 0, err
		}
	}
	var free int64
	for id := pageID(2); id < f.meta.pages; id++ {
		switch {
		case w.reached.has(id) && freed.has(id):
			return 0, corrupt(id, "in use and on the freelist")
		case !w.reached.has(id):
			if f.meta.freelist != noFreelist && !freed.has(id) {
				return 0, corrupt(id, "neither in use nor on the freelist")
			}
			free++
		}
	}
	return free, nil
}

func (w *walk) readFreelist(freed bitmap) error {
	at := w.file.meta.freelist
	var buf []byte
	data, err := w.file.readRun(at, &buf)
	if err != nil {
		return err
	}
	h := parseHeader(data)
	if h.flags != flagFreelist {
		return corrupt(at, "type %#x is no freelist", h.flags)
	}
	if err := w.reach(at, h.overflow); err != nil {
		return err
	}
	le := binary.LittleEndian
	ids, count := data[pageHeaderSize:], uint64(h.count)
	if h.count == 0xFFFF { // too many for the header: the first entry is the number
		count, ids = le.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return corrupt(at, "freelist of %d pages does not fit", count)
	}
	for i := range count {
		id := pageID(le.Uint64(ids[i*8:]))
		if id < 2 || id >= w.file.meta.pages {
			return corrupt(at, "freelist names page %d", id)
		}
		if freed.has(id) {
			return corrupt(id, "twice on the freelist")
		}
		freed.set(id)
	}
	return nil
}
