"""Digits with MultiWorkerMirroredStrategy: TF_CONFIG comes from the toolkit. Plain TensorFlow, no Keras."""
import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import numpy
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
strategy = tf.distribute.MultiWorkerMirroredStrategy()
task = json.loads(os.environ["TF_CONFIG"])["task"]
size = strategy.num_replicas_in_sync

train, test = (numpy.loadtxt(os.path.join(os.environ[name], "digits.csv"), delimiter=",", dtype="float32")
               for name in ("SM_CHANNEL_TRAINING", "SM_CHANNEL_TESTING"))
mine = train[task["index"]::size]
train_x, train_y = tf.constant(mine[:, 1:]), tf.constant(mine[:, 0].astype("int64"))
test_x, test_y = test[:, 1:], test[:, 0]

random = numpy.random.RandomState(2)
with strategy.scope():
    weights = [tf.Variable(random.normal(0, 0.2, (64, 48)).astype("float32")), tf.Variable(tf.zeros(48)),
               tf.Variable(random.normal(0, 0.2, (48, 10)).astype("float32")), tf.Variable(tf.zeros(10))]


def predict(x):
    return tf.nn.relu(x @ weights[0] + weights[1]) @ weights[2] + weights[3]


def step(x, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=predict(x)))
    gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN,
                                                               tape.gradient(loss, weights))
    for variable, gradient in zip(weights, gradients):
        variable.assign_sub(0.5 * gradient)
    return loss


@tf.function
def train_step(x, y):
    return strategy.run(step, args=(x, y))


for epoch in range(12):
    for at in range(0, len(train_x) - 31, 32):
        train_step(train_x[at:at + 32], train_y[at:at + 32])

accuracy = float(numpy.mean(predict(test_x).numpy().argmax(1) == test_y))
print(f"rank={task['index']} world={size} host={os.environ['SM_CURRENT_HOST']} accuracy={accuracy:.4f}", flush=True)
if task["index"] == 0:
    numpy.savez(os.path.join(os.environ["SM_MODEL_DIR"], "weights.npz"), *[w.numpy() for w in weights])
