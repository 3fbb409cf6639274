# The Python packages of the tests. Sourced after common.sh.

# provide_test_packages: puts the packages of tests/requirements.txt on PYTHONPATH. Where pip cannot get them it says
# so and goes on: the tests that need them are skipped.
provide_test_packages() {
  local requirements=tests/requirements.txt target key
  key=$( (python3 --version && cat "$requirements") | sha256sum | cut -c 1-16)
  target="$CONTEXTURE_CACHE/python/$key"
  if [ ! -d "$target" ]; then
    python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip
    say "installing the Python packages of $requirements"
    rm -rf "$target.new"
    if ! python3 -m pip install --disable-pip-version-check -q --root-user-action=ignore --target "$target.new" -r "$requirements" >&2; then
      say "pip could not install $requirements: tests that need it are skipped"
      return 0
    fi
    mv "$target.new" "$target"
  fi
  export PYTHONPATH="$target${PYTHONPATH:+:$PYTHONPATH}"
}
