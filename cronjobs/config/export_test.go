package config

// ReadData is Read of what a file contains.
var ReadData = read

// Keys are the keys of each kind of section, in the order of the documentation.
func Keys() [][]string {
	var all [][]string
	for _, k := range shapes() {
		all = append(all, append([]string{k.name}, k.keys...))
	}
	return all
}
