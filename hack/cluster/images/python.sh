# Debian's Python under the published image's names.
apt-get -q update
apt-get -qy install ca-certificates python3 python3-pip python3-venv
for name in python3 pip3; do ln -s "/usr/bin/$name" "/usr/local/bin/$name"; done
ln -s /usr/bin/python3 /usr/local/bin/python
ln -s /usr/bin/pip3 /usr/local/bin/pip
# The image is one program's: pip may install into it, as in the published one.
rm /usr/lib/python3*/EXTERNALLY-MANAGED
