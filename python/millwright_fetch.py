"""Brings the code of a script job to its folder: python -m millwright_fetch SOURCE FOLDER

SOURCE is a folder, an archive or a single file of the run, or the s3:// URI of an archive. Used by millwright-runner
when the server has not unpacked the code already. Prints one line and exits with 1 when that is impossible.
"""
import os
import shutil
import sys
import tarfile
import tempfile

MAX_MEMBERS = 1_000_000


def unpack(archive, folder):
    """Members may neither lie nor point outside of `folder`; devices are refused."""
    with tarfile.open(archive, "r:*") as opened:
        for number, member in enumerate(opened):
            if number >= MAX_MEMBERS:
                raise ValueError(f"{archive} has more than {MAX_MEMBERS} members")
            if hasattr(tarfile, "data_filter"):
                opened.extract(member, folder, filter="data")
            else:
                check(member, folder)
                opened.extract(member, folder)


def check(member, folder):
    """What the "data" filter of newer Pythons does."""
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise ValueError(f"{member.name} is neither a file, a folder nor a link")
    root = os.path.realpath(folder)
    places = [os.path.join(root, member.name)]
    if member.issym():
        places.append(os.path.join(root, os.path.dirname(member.name), member.linkname))
    elif member.islnk():
        places.append(os.path.join(root, member.linkname))
    for place in places:
        if os.path.commonpath([root, os.path.realpath(place)]) != root:
            raise ValueError(f"{member.name} lies or points outside of {folder}")
    member.mode = (member.mode or 0o644) & 0o755 | 0o600
    member.uid = member.gid = None if sys.version_info >= (3, 12) else os.getuid()


def download(uri, target):
    import boto3
    bucket, _, key = uri[len("s3://"):].partition("/")
    client = boto3.client("s3", region_name=os.environ.get("AWS_REGION"),
                          endpoint_url=os.environ.get("S3_ENDPOINT_URL"))
    client.download_file(bucket, key, target)


def fetch(source, folder):
    os.makedirs(folder, exist_ok=True)
    if source.startswith("s3://"):
        with tempfile.TemporaryDirectory() as place:
            archive = os.path.join(place, "archive")
            download(source, archive)
            unpack(archive, folder)
    elif os.path.isdir(source):
        shutil.copytree(source, folder, symlinks=True, dirs_exist_ok=True)
    elif not os.path.exists(source):
        raise FileNotFoundError(f"there is no {source} in the job")
    elif tarfile.is_tarfile(source):
        unpack(source, folder)
    else:
        shutil.copy2(source, folder)


def main(source, folder):
    try:
        fetch(source, folder)
    except Exception as problem:  # whatever it is, the user wants its words, not our stack
        sys.exit(f"cannot bring the code {source}: {type(problem).__name__}: {problem}")


if __name__ == "__main__":
    main(*sys.argv[1:])
