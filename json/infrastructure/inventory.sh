# shellcheck shell=bash disable=SC2034,SC2088
# Written by tidegate render. Change the document, not this file.
platform=webui
os=any
swap=zram
packages=(openssl systemd-zram-generator sqlite3 rclone)
endpoint=203.0.113.20:6443
kubeconfig_hours=168
ssh_port=22
ssh_user=ubuntu
ssh_identity=$HOME/.ssh/id_ed25519
declare -A address=([node1]=203.0.113.20)
declare -A role=([node1]=server)
declare -A pool=([node1]='')
all=(node1)
servers=(node1)
agents=()
