#!/bin/sh
# Sourced where the archive is removed, or replaced by a package.
tree=/opt/registry-agent

# remove_installed: removes what `install` has put outside of the tree. A file of a package stays, and so does a link
# that leads elsewhere.
remove_installed() {
    while read -r file; do
        case $file:$(readlink "/$file") in
            */bin/*:"$tree"/*) ;;
            */bin/*) continue ;;
        esac
        dpkg-query --search "/$file" >/dev/null 2>&1 || rm -f "/$file" || true # where /usr is read-only now, rm says so
    done <"$tree/share/package/files"
    sort -r "$tree/share/package/directories" 2>/dev/null | while read -r directory; do
        rmdir "$directory" 2>/dev/null || true # it has files of other programs
    done
}
