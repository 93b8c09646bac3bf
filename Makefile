# etcdha is built, checked and tested from here. `make` lists the targets; V=1 shows the commands.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

# Every module of the tree. The nested ones hold tools whose dependencies etcdha must not share.
ETCDS   := etcd35 etcd36 etcd37
MODULES := . $(ETCDS:%=e2e/%) e2e/helm e2e/kubeadm130 e2e/kubernetes e2e/lint e2e/page e2e/promtool e2e/s5cmd e2e/versitygw

PLATFORMS := linux/amd64 linux/arm64 darwin/arm64

ETCD_BINARIES := $(foreach e,$(ETCDS),$(addprefix bin/$(e)/,etcd etcdctl etcdutl))
KUBERNETES    := $(addprefix bin/kubernetes/,kube-apiserver kubeadm kubectl) bin/kubeadm130/kubeadm
VERSITYGW     := bin/versitygw
S5CMD         := bin/s5cmd
PROMTOOL      := bin/promtool
HELM          := bin/helm
LINT          := bin/golangci-lint
VULN          := bin/govulncheck

# The tests of whole control planes have a target of their own: what they run takes minutes to build.
CONTROLPLANE := ./e2e/controlplane
tested        = $$(go list $(1) | grep -v '/e2e/controlplane$$')

Q   := $(if $(V),,@)
say  = @printf '  %-9s %s\n'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The go command uses every core by itself, and two linters would wait for each other.
.NOTPARALLEL:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## build bin/etcdha, one static binary
	$(say) build 'bin/etcdha $(VERSION)'
	$(Q)CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/etcdha ./cmd/etcdha

.PHONY: tools
tools: packages $(ETCD_BINARIES) $(VERSITYGW) $(PROMTOOL) $(HELM) ## build what the tests run: etcd versions, an S3 server, promtool, helm
	@:

# What docs/recover-by-hand.md uses beside etcdutl, what shows the page, and what knows how systemd reads a unit.
.PHONY: packages
packages:
	$(Q)e2e/packages.sh age chromium openssl zstd $(if $(shell command -v apt-get),systemd-analyze=systemd)

.PHONY: test
test: build tools ## run every test under the race detector
	$(say) test './...'
	$(Q)CGO_ENABLED=1 go test -race -timeout 40m $(call tested,./...)
	$(say) test './e2e/page, with screenshots in bin/screenshots'
	$(Q)CGO_ENABLED=1 go test -C e2e/page -race -timeout 20m ./...
	$(say) counted 'what the rules of quorum were judged by'
	$(Q)go test -v ./membership/quorum | sed -nE 's/^ +[a-z]+_test.go:[0-9]+: (.*[0-9] (states|worlds),[^:]*).*/    \1/p'

.PHONY: e2e
e2e: build tools ## run the end-to-end tests only
	$(say) test './e2e/...'
	$(Q)CGO_ENABLED=1 go test -race -timeout 40m $(call tested,./e2e/...)

# As root: each host is a set of namespaces. Two cores run one story at a time.
.PHONY: test-kubernetes
test-kubernetes: build bin/etcd37/etcd $(KUBERNETES) $(HELM) $(VERSITYGW) ## run the tests with real kube-apiservers and kubeadm
	$(Q)e2e/packages.sh ip=iproute2
	$(say) test '$(CONTROLPLANE)'
	$(Q)CGO_ENABLED=1 go test -race -timeout 60m $(CONTROLPLANE)

# Other stories each time; -chaos-seed plays one of them again.
.PHONY: test-chaos
test-chaos: build tools ## play a hundred random stories of membership changes under failures
	$(say) test './e2e, TestChaos'
	$(Q)CGO_ENABLED=1 go test -race -timeout 60m ./e2e -run '^TestChaos$$' -v -chaos-runs=100 -chaos-seed=$$(date +%s)

# FOR=2h plays for hours; -soak-seed plays the same mishaps again.
FOR := 5m

.PHONY: soak
soak: build tools ## let a daemon back up for 5 minutes while everything around it fails
	$(say) test './e2e, TestSoak for $(FOR)'
	$(Q)CGO_ENABLED=1 go test -race -timeout 0 ./e2e -run '^TestSoak$$' -v -soak=$(FOR) -soak-seed=$$(date +%s)

.PHONY: bench
bench: build tools $(S5CMD) ## measure etcdha beside the stock tools
	$(say) bench './e2e/bench'
	$(Q)go run ./e2e/bench

.PHONY: check
check: format lint tidy cross vuln ## check format, lint rules, modules, platforms, vulnerabilities

.PHONY: fmt
fmt: $(LINT) ## format the code
	$(Q)$(LINT) fmt

.PHONY: cross
cross: ## compile for every platform
	$(Q)for p in $(PLATFORMS); do \
	  printf '  %-9s %s\n' cross "$$p"; \
	  CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} go build -trimpath -o /dev/null ./... || exit 1; \
	done

.PHONY: clean
clean: ## remove bin
	$(Q)rm -rf bin

# The parts of check.

.PHONY: format
format: $(LINT)
	$(say) format 'gofmt, goimports'
	$(Q)$(LINT) fmt --diff || { echo 'not formatted: `make fmt` does it' >&2; exit 1; }

.PHONY: lint
lint: $(LINT)
	$(say) lint './...'
	$(Q)$(LINT) config verify
	$(Q)$(LINT) run --allow-serial-runners --show-stats=false

.PHONY: tidy
tidy:
	$(Q)for m in $(MODULES); do \
	  printf '  %-9s %s\n' tidy "$$m/go.mod"; \
	  go -C "$$m" mod tidy -diff || { echo "not tidy: run 'go mod tidy' in $$m" >&2; exit 1; }; \
	done

# govulncheck loads the code before it asks for the database, so only a failed fetch is forgiven.
.PHONY: vuln
vuln: $(VULN)
	$(say) vuln './...'
	$(Q)out=$$($(VULN) ./... 2>&1) && exit 0; \
	case "$$out" in \
	  *'fetching vulnerabilities:'*) printf '  %-9s %s\n' '' 'not checked: the vulnerability database cannot be reached' ;; \
	  *) printf '%s\n' "$$out" >&2; exit 1 ;; \
	esac

# Built again only when the version that they are pinned to changes.

bin/etcd%/etcd bin/etcd%/etcdctl bin/etcd%/etcdutl: e2e/etcd%/go.mod e2e/etcd%/go.sum
	$(say) build 'bin/etcd$*/{etcd,etcdctl,etcdutl}'
	$(Q)CGO_ENABLED=0 go build -C e2e/etcd$* -trimpath -o ../../bin/etcd$*/etcd go.etcd.io/etcd/server/v3
	$(Q)CGO_ENABLED=0 go build -C e2e/etcd$* -trimpath -o ../../bin/etcd$*/etcdctl go.etcd.io/etcd/etcdctl/v3
	$(Q)CGO_ENABLED=0 go build -C e2e/etcd$* -trimpath -o ../../bin/etcd$*/etcdutl go.etcd.io/etcd/etcdutl/v3

# A kubeadm whose version is not set asks the Internet for the newest one.
bin/kubernetes/%: e2e/kubernetes/go.mod e2e/kubernetes/go.sum
	$(say) build $@
	$(Q)CGO_ENABLED=0 go build -C e2e/kubernetes -trimpath -ldflags '-X k8s.io/component-base/version.gitVersion=v1.36.3' -o ../../$@ k8s.io/kubernetes/cmd/$*

bin/kubeadm130/kubeadm: e2e/kubeadm130/go.mod e2e/kubeadm130/go.sum
	$(say) build $@
	$(Q)CGO_ENABLED=0 go build -C e2e/kubeadm130 -trimpath -ldflags '-X k8s.io/component-base/version.gitVersion=v1.30.4' -o ../../$@ k8s.io/kubernetes/cmd/kubeadm

$(VERSITYGW): e2e/versitygw/go.mod e2e/versitygw/go.sum
	$(say) build $@
	$(Q)CGO_ENABLED=0 go build -C e2e/versitygw -trimpath -o ../../$@ github.com/versity/versitygw/cmd/versitygw

$(S5CMD): e2e/s5cmd/go.mod e2e/s5cmd/go.sum
	$(say) build $@
	$(Q)CGO_ENABLED=0 go build -C e2e/s5cmd -trimpath -o ../../$@ github.com/peak/s5cmd/v2

# Without the discovery of services: no rule needs it, and it brings the clouds' SDKs.
$(PROMTOOL): e2e/promtool/go.mod e2e/promtool/go.sum
	$(say) build $@
	$(Q)CGO_ENABLED=0 go build -C e2e/promtool -trimpath -tags remove_all_sd -o ../../$@ github.com/prometheus/prometheus/cmd/promtool

$(HELM): e2e/helm/go.mod e2e/helm/go.sum
	$(say) build $@
	$(Q)CGO_ENABLED=0 go build -C e2e/helm -trimpath -o ../../$@ helm.sh/helm/v4/cmd/helm

$(LINT) $(VULN): e2e/lint/go.mod e2e/lint/go.sum

$(LINT):
	$(say) build $@
	$(Q)CGO_ENABLED=0 go build -C e2e/lint -trimpath -o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(VULN):
	$(say) build $@
	$(Q)CGO_ENABLED=0 go build -C e2e/lint -trimpath -o ../../$@ golang.org/x/vuln/cmd/govulncheck
