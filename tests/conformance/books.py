"""Large books: jobs of the past, written into the database of a server that is not running."""
import random
import sqlite3

BATCH = 20_000


def multiply(database, name, rows):
    """Copies of a job that has ended, as many jobs leave them behind; written as the server writes them. Their names."""
    names = []
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        columns = [row[1] for row in connection.execute("PRAGMA table_info(training_job)")]
        original = dict(zip(columns, connection.execute("SELECT * FROM training_job WHERE name=?", [name]).fetchone()))
        transitions = connection.execute("SELECT * FROM training_job_transition WHERE job=?", [original["id"]]).fetchall()
        chooser = random.Random(1)
        marks = ",".join("?" * len(columns))
        for begin in range(0, rows, BATCH):
            jobs, lines = [], []
            for number in range(begin, min(rows, begin + BATCH)):
                copy = {**original, "id": 1_000_000 + number, "name": f"past-{chooser.getrandbits(48):012x}-{number}"}
                copy["name_key"] = copy["name"].lower()
                copy["created"] = original["created"] - 1000 * number
                names.append(copy["name"])
                jobs.append([copy[column] for column in columns])
                lines += [(copy["id"], *line[1:]) for line in transitions]
            connection.executemany(f"INSERT INTO training_job({','.join(columns)}) VALUES({marks})", jobs)
            connection.executemany(f"INSERT INTO training_job_transition VALUES({','.join('?' * len(lines[0]))})", lines)
            connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return names
