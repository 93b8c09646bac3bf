package etcdservers

// Holding returns the file as it would be read with this content, such as that of
// an older copy.
func (f *File) Holding(content []byte) (*File, error) {
	return f.again(overlay{path: f.Path, data: content})
}
