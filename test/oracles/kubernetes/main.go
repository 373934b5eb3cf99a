// Command kubernetes is the light testbed in one program: etcd, kube-apiserver, kubectl and kubeadm, linked from one
// module graph. It runs as the part that its file name says; the links are made by tools/oracles.sh.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	_ "time/tzdata" // CronJob time zones are checked against it

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app/cmd"
)

func run(part string) int {
	switch part {
	case "etcd":
		etcdmain.Main(os.Args)
		return 0
	case "kube-apiserver":
		return cli.Run(apiserver.NewAPIServerCommand())
	case "kubeadm":
		return cli.Run(kubeadm.NewKubeadmCommand(os.Stdin, os.Stdout, os.Stderr))
	case "kubectl":
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			kubectlutil.CheckErr(err)
			return 1
		}
		return 0
	}
	fmt.Fprintf(os.Stderr, "no part %q here: call it by a link named etcd, kube-apiserver, kubectl or kubeadm\n", part)
	return 2
}

func main() {
	os.Exit(run(filepath.Base(os.Args[0])))
}
