package apiserver

import (
	"fmt"
	"path"
	"strings"

	"github.com/etcdha/etcdha/internal/fail"
)

// stateRoot is where systemd makes the directories of StateDirectory=.
const stateRoot = "/var/lib/"

// Unit renders the agent as a unit of systemd. It is kept from writing anywhere
// but to the directory of the apiserver's file and to that of the copies; it
// can ask systemd to restart the apiserver.
func (a *Agent) Unit() ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	if !path.IsAbs(a.Binary) {
		return nil, fail.Usagef("a unit needs the absolute path of etcdha, and %q is none", a.Binary)
	}
	for _, text := range append(a.command(a.Binary), a.Copies) {
		if strings.ContainsAny(text, "\n\r\x00") {
			return nil, fail.Usagef("%q cannot stand in a unit", text)
		}
	}
	var command []string
	for _, word := range a.command(a.Binary) {
		command = append(command, strings.ReplaceAll(unitWord(word), "$", "$$"))
	}
	writable := []string{unitWord(path.Dir(a.target()))}
	state, ok := strings.CutPrefix(path.Clean(a.Copies), stateRoot)
	made := "StateDirectory=" + unitWord(state) + "\nStateDirectoryMode=0700"
	if !ok {
		// Only what is there when the agent starts can be made writable for it.
		made = "ExecStartPre=+/bin/mkdir -p -m 0700 " + strings.ReplaceAll(unitWord(a.Copies), "$", "$$")
		writable = append(writable, unitWord("-"+path.Clean(a.Copies)))
	}
	if socket, ok := strings.CutPrefix(a.Listen, unixScheme); ok {
		writable = append(writable, unitWord(path.Dir(socket)))
	}
	return fmt.Appendf(nil, unitText, strings.Join(command, " "), made, int(a.stopGrace().Seconds()),
		strings.Join(writable, " "), a.unitCapabilities()), nil
}

// unitText takes the command, what makes the directory for copies, the seconds
// for stopping, the writable directories and the capabilities.
//
// Other processes have to stay visible, so that there is no ProtectProc=. The
// socket of systemd can be reached although all of /run is read-only.
const unitText = `# Keeps the etcd servers of the kube-apiserver on this host in step with the members of etcd.
[Unit]
Description=etcdha agent for the etcd servers of kube-apiserver
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=%s
%s
Restart=always
RestartSec=10
TimeoutStopSec=%d
UMask=0077

ProtectSystem=strict
ReadWritePaths=%s
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes

CapabilityBoundingSet=%s
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target
`

func (a *Agent) unitCapabilities() string {
	var names []string
	for _, name := range a.capabilities() {
		names = append(names, "CAP_"+name)
	}
	return strings.Join(names, " ")
}

// unitWord is a word as systemd reads it in a unit: in quotes if it needs them,
// see "Quoting" in systemd.syntax(7), and without specifiers.
func unitWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/.,-_=@+") == "" && s != "" {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`).Replace(s) + `"`
}
