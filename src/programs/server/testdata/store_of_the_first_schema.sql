INSERT INTO schema_version VALUES('object_store',1);
INSERT INTO schema_version VALUES('identity',1);
INSERT INTO schema_version VALUES('logs',1);
INSERT INTO schema_version VALUES('metrics',1);
INSERT INTO schema_version VALUES('tags',1);
INSERT INTO schema_version VALUES('training_jobs',2);
INSERT INTO schema_version VALUES('cost',1);
INSERT INTO schema_version VALUES('training_quotas',1);
INSERT INTO schema_version VALUES('warm_pools',1);
INSERT INTO schema_version VALUES('models',1);
INSERT INTO schema_version VALUES('endpoint_configs',1);
INSERT INTO schema_version VALUES('endpoints',1);
CREATE TABLE bucket(
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    created INTEGER NOT NULL);
INSERT INTO bucket VALUES(17460045068872261,'archive','191887315147','us-west-2',1795419294051);
CREATE TABLE object(
    bucket INTEGER NOT NULL REFERENCES bucket(id),
    key TEXT NOT NULL,
    file TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    storage_class TEXT NOT NULL,
    properties TEXT NOT NULL,
    PRIMARY KEY(bucket, key)) WITHOUT ROWID;
INSERT INTO object VALUES(17460045068872261,'empty','3babfdefa0c490ba1fde7c567242cf37',0,'d41d8cd98f00b204e9800998ecf8427e',1795419294234,'STANDARD','{"type":"binary/octet-stream","checksums":{"CRC32":"AAAAAA=="},"checksum_type":"FULL_OBJECT"}');
INSERT INTO object VALUES(17460045068872261,'notes/large.bin','1e4e4a75b7b71a19c8dd9ec35d301516',20000,'2db76b63c11123a83f626114693e6d4b',1795419294146,'STANDARD','{"type":"binary/octet-stream","checksums":{"CRC32":"LsmoyQ=="},"checksum_type":"FULL_OBJECT"}');
INSERT INTO object VALUES(17460045068872261,'notes/small.txt','0ecb41dea91755c24ead64841c4dd0be',13,'4bad4f704764f42a78879a7e9922c873',1795419294108,'STANDARD','{"type":"text/plain","metadata":{"owner":"me"},"checksums":{"SHA256":"xctxTFj/VeLY0FZIaT6il35OwvwaP0q4BRSJdqStuJ4="},"checksum_type":"FULL_OBJECT"}');
INSERT INTO object VALUES(17460045068872261,'out/Second-Job/output/model.tar.gz','2e52fc53c26cef60721aecfcf18beba4',31,'c06fbf4b713893b63dc7ff340e7b4ea1',1795419295629,'STANDARD','{"type":"application/x-tar"}');
INSERT INTO object VALUES(17460045068872261,'out/first-job/output/model.tar.gz','d3893655ed6adbefc284001b1bcaaf1e',1215,'7931ee1b3d21f21ed82136e3c67742f3',1795419295013,'STANDARD','{"type":"application/x-tar"}');
INSERT INTO object VALUES(17460045068872261,'train/rows.csv','d086f442aa33e671f63a14be20fa400f',1199,'da7868991985eec63d59e6feec9dc7aa',1795419294381,'STANDARD','{"type":"text/csv","checksums":{"CRC32":"7s1exA=="},"checksum_type":"FULL_OBJECT"}');
CREATE TABLE upload(
    id TEXT PRIMARY KEY,
    bucket INTEGER NOT NULL REFERENCES bucket(id),
    key TEXT NOT NULL,
    initiated INTEGER NOT NULL,
    options TEXT NOT NULL,
    file TEXT,
    slot_size INTEGER) WITHOUT ROWID;
INSERT INTO upload VALUES('01a207544a597342eafc6c5c4d9e6f03dcf8c4762eb327fc',17460045068872261,'parts.bin',1795419294297,'{"type":"binary/octet-stream","class":"STANDARD"}',NULL,NULL);
CREATE TABLE upload_part(
    upload TEXT NOT NULL REFERENCES upload(id),
    number INTEGER NOT NULL,
    file TEXT NOT NULL,
    file_offset INTEGER NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    checksums TEXT NOT NULL,
    PRIMARY KEY(upload, number)) WITHOUT ROWID;
INSERT INTO upload_part VALUES('01a207544a597342eafc6c5c4d9e6f03dcf8c4762eb327fc',1,'8d1f6c8b44b9dbc53957dfb1c901aaef',0,100,'f0b1b06c4c48a35d5a79a666e5377235',1795419294353,'{"CRC32":"JmvtpQ=="}');
CREATE TABLE iam_role(account TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, arn TEXT NOT NULL, id TEXT NOT NULL,
    assume_role_policy TEXT NOT NULL, description TEXT NOT NULL, created_ms INTEGER NOT NULL,
    max_session_seconds INTEGER NOT NULL, tags TEXT NOT NULL, PRIMARY KEY(account, name));
INSERT INTO iam_role VALUES('191887315147','SageMakerRole','/','arn:aws:iam::191887315147:role/SageMakerRole','AROAOMFPIDYUCXGSUVMB2','{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},"Action":"sts:AssumeRole"},{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::191887315147:root"},"Action":"sts:AssumeRole"}]}','Made by Millwright on first start.',1795419284510,43200,'[]');
INSERT INTO iam_role VALUES('191887315147','trainer','/','arn:aws:iam::191887315147:role/trainer','AROAX6ASVSXYQ7MEMEDWD','{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}','',1795419294439,3600,'[]');
CREATE TABLE iam_role_policy(account TEXT NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY(account, role, name));
CREATE TABLE iam_role_attachment(account TEXT NOT NULL, role TEXT NOT NULL, policy_arn TEXT NOT NULL,
    PRIMARY KEY(account, role, policy_arn));
CREATE TABLE iam_user(account TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, arn TEXT NOT NULL, id TEXT NOT NULL,
    created_ms INTEGER NOT NULL, tags TEXT NOT NULL, PRIMARY KEY(account, name));
INSERT INTO iam_user VALUES('191887315147','alice','/','arn:aws:iam::191887315147:user/alice','AIDADJUJEIFXKLP47HGCX',1795419294459,'[]');
CREATE TABLE iam_access_key(id TEXT PRIMARY KEY, account TEXT NOT NULL, user TEXT NOT NULL, secret TEXT NOT NULL,
    created_ms INTEGER NOT NULL);
CREATE TABLE iam_session(id TEXT PRIMARY KEY, account TEXT NOT NULL, secret TEXT NOT NULL, token TEXT NOT NULL,
    caller_arn TEXT NOT NULL, caller_id TEXT NOT NULL, role_arn TEXT NOT NULL, run_id TEXT NOT NULL,
    expires_ms INTEGER NOT NULL);
CREATE TABLE iam_job_grant(run_id TEXT PRIMARY KEY, secret TEXT NOT NULL UNIQUE, account TEXT NOT NULL, role TEXT NOT NULL);
CREATE TABLE log_group(id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, created_ms INTEGER NOT NULL, UNIQUE(account, region, name));
INSERT INTO log_group VALUES(1,'191887315147','us-west-2','/aws/sagemaker/TrainingJobs',1795419294662);
INSERT INTO log_group VALUES(2,'191887315147','us-west-2','/my/group',1795419296011);
CREATE TABLE log_stream(id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL REFERENCES log_group(id), name TEXT NOT NULL, created_ms INTEGER NOT NULL, file TEXT NOT NULL, owned_by_job INTEGER NOT NULL, UNIQUE(group_id, name));
INSERT INTO log_stream VALUES(1,1,'first-job/algo-1-1795419294',1795419294662,'f2/e26ecbcb676e9e2780f93bbcccb67ab4.log',1);
INSERT INTO log_stream VALUES(2,1,'Second-Job/algo-1-1795419295',1795419295322,'27/a2a297723d65ea559a1eb8d2324bee65.log',1);
INSERT INTO log_stream VALUES(3,2,'one',1795419296024,'83/03d7c15a94515958fc772ab80537a452.log',0);
CREATE TABLE metric(id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, dimensions TEXT NOT NULL, last_ms INTEGER NOT NULL, UNIQUE(account, region, namespace, name, dimensions));
INSERT INTO metric VALUES(1,'191887315147','us-west-2','/aws/sagemaker/TrainingJobs','train:logloss','["TrainingJobName","first-job"]',1795419294836);
CREATE TABLE metric_sample(id INTEGER PRIMARY KEY, metric_id INTEGER NOT NULL REFERENCES metric(id), time_ms INTEGER NOT NULL, unit TEXT NOT NULL, samples REAL NOT NULL, sum REAL NOT NULL, minimum REAL NOT NULL, maximum REAL NOT NULL);
INSERT INTO metric_sample VALUES(1,1,1795419294836,'None',1.0,0.69237999999999999545,0.69237999999999999545,0.69237999999999999545);
INSERT INTO metric_sample VALUES(2,1,1795419294836,'None',1.0,0.69181000000000003602,0.69181000000000003602,0.69181000000000003602);
INSERT INTO metric_sample VALUES(3,1,1795419294836,'None',1.0,0.69142000000000003456,0.69142000000000003456,0.69142000000000003456);
CREATE TABLE tagged_resource(arn TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
INSERT INTO tagged_resource VALUES('arn:aws:sagemaker:us-west-2:191887315147:endpoint-config/first-config');
INSERT INTO tagged_resource VALUES('arn:aws:sagemaker:us-west-2:191887315147:model/first-model');
INSERT INTO tagged_resource VALUES('arn:aws:sagemaker:us-west-2:191887315147:training-job/first-job');
INSERT INTO tagged_resource VALUES('arn:aws:sagemaker:us-west-2:191887315147:training-job/second-job');
CREATE TABLE resource_tag(arn TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY(arn, name)) WITHOUT ROWID;
INSERT INTO resource_tag VALUES('arn:aws:sagemaker:us-west-2:191887315147:model/first-model','stage','test');
INSERT INTO resource_tag VALUES('arn:aws:sagemaker:us-west-2:191887315147:training-job/first-job','team','blue');
INSERT INTO resource_tag VALUES('arn:aws:sagemaker:us-west-2:191887315147:training-job/second-job','team','blue');
CREATE TABLE training_job( id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, name_key TEXT NOT NULL, owner TEXT NOT NULL, run_id TEXT NOT NULL DEFAULT '', phase INTEGER NOT NULL, status TEXT NOT NULL, secondary_status TEXT NOT NULL, created INTEGER NOT NULL, modified INTEGER NOT NULL, training_start INTEGER, training_end INTEGER, stop_requested INTEGER NOT NULL DEFAULT 0, revision INTEGER NOT NULL DEFAULT 1, request TEXT NOT NULL, outcome TEXT, failure_reason TEXT NOT NULL DEFAULT '', model_artifacts TEXT NOT NULL DEFAULT '', training_seconds INTEGER, ran_before INTEGER NOT NULL DEFAULT 0, interruptions INTEGER NOT NULL DEFAULT 0, retries INTEGER NOT NULL DEFAULT 0, interrupted_run TEXT NOT NULL DEFAULT '', billable_seconds INTEGER, kept INTEGER NOT NULL DEFAULT 0);
INSERT INTO training_job VALUES(1,'191887315147','us-west-2','first-job','first-job','arn:aws:iam::191887315147:root','5a973d486fb8722ab42834d66161aac6',5,'Completed','Completed',1795419294488,1795419295026,1795419294806,1795419295026,0,5,'{"TrainingJobName":"first-job","HyperParameters":{"num_round":"3","objective":"binary:logistic"},"AlgorithmSpecification":{"TrainingImage":"246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1","TrainingInputMode":"File"},"RoleArn":"arn:aws:iam::191887315147:role/trainer","InputDataConfig":[{"ChannelName":"train","DataSource":{"S3DataSource":{"S3DataType":"S3Prefix","S3Uri":"s3://archive/train/"}},"ContentType":"text/csv"}],"OutputDataConfig":{"S3OutputPath":"s3://archive/out"},"ResourceConfig":{"InstanceType":"ml.m5.large","InstanceCount":1,"VolumeSizeInGB":1},"StoppingCondition":{"MaxRuntimeInSeconds":300}}','{"cause":"Exited","message":"","first_failure":-1,"hosts":[{"exit_code":0,"signal":0,"out_of_memory":false,"out_of_disk":false}],"started":1795419294806,"ended":1795419294842,"ran":35}','','s3://archive/out/first-job/output/model.tar.gz',1,0,0,0,'',1,0);
INSERT INTO training_job VALUES(2,'191887315147','us-west-2','Second-Job','second-job','arn:aws:iam::191887315147:root','1684443d05a4e186a33421b9b5af08d2',5,'Failed','Failed',1795419295250,1795419295758,1795419295362,1795419295758,0,5,'{"TrainingJobName":"Second-Job","HyperParameters":{"num_round":"x","objective":"binary:logistic"},"AlgorithmSpecification":{"TrainingImage":"246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1","TrainingInputMode":"File"},"RoleArn":"arn:aws:iam::191887315147:role/trainer","InputDataConfig":[{"ChannelName":"train","DataSource":{"S3DataSource":{"S3DataType":"S3Prefix","S3Uri":"s3://archive/train/"}},"ContentType":"text/csv"}],"OutputDataConfig":{"S3OutputPath":"s3://archive/out"},"ResourceConfig":{"InstanceType":"ml.m5.large","InstanceCount":1,"VolumeSizeInGB":1},"StoppingCondition":{"MaxRuntimeInSeconds":300}}','{"cause":"Exited","message":"algo-1 ended with 2","first_failure":0,"hosts":[{"exit_code":2,"signal":0,"out_of_memory":false,"out_of_disk":false}],"started":1795419295362,"ended":1795419295429,"ran":66}','ClientError: Hyperparameter num_round: could not parse value (caused by ValueError)','s3://archive/out/Second-Job/output/model.tar.gz',1,0,0,0,'',1,1);
CREATE TABLE training_job_transition(job INTEGER NOT NULL, number INTEGER NOT NULL, status TEXT NOT NULL, message TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER, PRIMARY KEY(job, number)) WITHOUT ROWID;
INSERT INTO training_job_transition VALUES(1,0,'Starting','Starting the training job',1795419294488,1795419294660);
INSERT INTO training_job_transition VALUES(1,1,'Downloading','Downloading input data',1795419294660,1795419294857);
INSERT INTO training_job_transition VALUES(1,2,'Training','Training image download completed. Training in progress.',1795419294857,1795419294966);
INSERT INTO training_job_transition VALUES(1,3,'Uploading','Uploading generated training model',1795419294966,1795419295026);
INSERT INTO training_job_transition VALUES(1,4,'Completed','Training job completed',1795419295026,1795419295026);
INSERT INTO training_job_transition VALUES(2,0,'Starting','Starting the training job',1795419295250,1795419295321);
INSERT INTO training_job_transition VALUES(2,1,'Downloading','Downloading input data',1795419295321,1795419295398);
INSERT INTO training_job_transition VALUES(2,2,'Training','Training image download completed. Training in progress.',1795419295398,1795419295490);
INSERT INTO training_job_transition VALUES(2,3,'Uploading','Uploading generated training model',1795419295490,1795419295758);
INSERT INTO training_job_transition VALUES(2,4,'Failed','Training job failed',1795419295758,1795419295758);
CREATE TABLE training_job_log(job INTEGER NOT NULL, host INTEGER NOT NULL, path TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY(job, host)) WITHOUT ROWID;
CREATE TABLE training_job_metric(job INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, time INTEGER NOT NULL, PRIMARY KEY(job, name)) WITHOUT ROWID;
INSERT INTO training_job_metric VALUES(1,'train:logloss',0.69142000000000003456,1795419294836);
CREATE TABLE ledger_entry(job INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL, training_seconds INTEGER NOT NULL, billable_seconds INTEGER NOT NULL, spot INTEGER NOT NULL);
INSERT INTO ledger_entry VALUES(1,'191887315147','us-west-2','first-job','arn:aws:iam::191887315147:root',1795419294806,1795419295026,1,1,0);
INSERT INTO ledger_entry VALUES(2,'191887315147','us-west-2','Second-Job','arn:aws:iam::191887315147:root',1795419295362,1795419295758,1,1,0);
CREATE TABLE ledger_group(job INTEGER NOT NULL, number INTEGER NOT NULL, instance_type TEXT NOT NULL, instances INTEGER NOT NULL, PRIMARY KEY(job, number)) WITHOUT ROWID;
INSERT INTO ledger_group VALUES(1,0,'ml.m5.large',1);
INSERT INTO ledger_group VALUES(2,0,'ml.m5.large',1);
CREATE TABLE ledger_tag(job INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY(job, name)) WITHOUT ROWID;
INSERT INTO ledger_tag VALUES(1,'team','blue');
INSERT INTO ledger_tag VALUES(2,'team','blue');
CREATE TABLE quota_claim(job INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, owner TEXT NOT NULL);
CREATE TABLE quota_claim_instances(job INTEGER NOT NULL, quota TEXT NOT NULL, instances INTEGER NOT NULL, PRIMARY KEY(job, quota)) WITHOUT ROWID;
CREATE TABLE warm_pool(job INTEGER PRIMARY KEY, pool_status TEXT NOT NULL, pool_keep_alive INTEGER NOT NULL, pool_match TEXT NOT NULL DEFAULT '', pool_image TEXT NOT NULL DEFAULT '', pool_cpus REAL NOT NULL DEFAULT 0, pool_memory INTEGER NOT NULL DEFAULT 0, pool_hosts INTEGER NOT NULL DEFAULT 1, pool_run TEXT NOT NULL DEFAULT '', pool_environment TEXT NOT NULL DEFAULT '', pool_since INTEGER, pool_retained INTEGER, pool_reused_by TEXT NOT NULL DEFAULT '');
CREATE TABLE sagemaker_model(account TEXT NOT NULL, region TEXT NOT NULL, name_key TEXT NOT NULL, name TEXT NOT NULL, arn TEXT NOT NULL, created_ms INTEGER NOT NULL, modified_ms INTEGER NOT NULL, status TEXT NOT NULL, request TEXT NOT NULL, PRIMARY KEY(account, region, name_key));
INSERT INTO sagemaker_model VALUES('191887315147','us-west-2','first-model','first-model','arn:aws:sagemaker:us-west-2:191887315147:model/first-model',1795419295974,1795419295974,'','{"ModelName":"first-model","PrimaryContainer":{"Image":"246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1","ModelDataUrl":"s3://archive/out/first-job/output/model.tar.gz"},"ExecutionRoleArn":"arn:aws:iam::191887315147:role/trainer"}');
CREATE TABLE sagemaker_endpoint_config(account TEXT NOT NULL, region TEXT NOT NULL, name_key TEXT NOT NULL, name TEXT NOT NULL, arn TEXT NOT NULL, created_ms INTEGER NOT NULL, modified_ms INTEGER NOT NULL, status TEXT NOT NULL, request TEXT NOT NULL, PRIMARY KEY(account, region, name_key));
INSERT INTO sagemaker_endpoint_config VALUES('191887315147','us-west-2','first-config','first-config','arn:aws:sagemaker:us-west-2:191887315147:endpoint-config/first-config',1795419295994,1795419295994,'','{"EndpointConfigName":"first-config","ProductionVariants":[{"VariantName":"all","ModelName":"first-model","InitialInstanceCount":1,"InstanceType":"ml.m5.large","InitialVariantWeight":1}]}');
CREATE TABLE sagemaker_endpoint(account TEXT NOT NULL, region TEXT NOT NULL, name_key TEXT NOT NULL, name TEXT NOT NULL, arn TEXT NOT NULL, created_ms INTEGER NOT NULL, modified_ms INTEGER NOT NULL, status TEXT NOT NULL, 
    failure_reason TEXT NOT NULL, config_name TEXT NOT NULL, current_id TEXT NOT NULL, target_id TEXT NOT NULL,
    PRIMARY KEY(account, region, name_key));
CREATE TABLE endpoint_deployment(id TEXT PRIMARY KEY, endpoint_arn TEXT NOT NULL, spec TEXT NOT NULL);
CREATE TABLE endpoint_replica(run_id TEXT PRIMARY KEY, deployment_id TEXT NOT NULL, variant INTEGER NOT NULL,
    log_stream TEXT NOT NULL);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('training_job',2);
CREATE UNIQUE INDEX object_file ON object(file);
CREATE INDEX upload_key ON upload(bucket, key, id);
CREATE INDEX upload_file ON upload(file);
CREATE INDEX upload_part_file ON upload_part(file);
CREATE INDEX iam_access_key_by_user ON iam_access_key(account, user, id);
CREATE INDEX iam_session_by_expiry ON iam_session(expires_ms);
CREATE INDEX iam_session_by_run ON iam_session(run_id);
CREATE INDEX metric_sample_by_time ON metric_sample(metric_id, time_ms);
CREATE UNIQUE INDEX training_job_key ON training_job(account, region, name_key);
CREATE INDEX training_job_name ON training_job(account, region, name, id);
CREATE INDEX training_job_created ON training_job(account, region, created, id);
CREATE INDEX training_job_modified ON training_job(account, region, modified, id);
CREATE INDEX training_job_status ON training_job(account, region, status, id);
CREATE INDEX training_job_status_created ON training_job(account, region, status, created, id);
CREATE INDEX training_job_unfinished ON training_job(id) WHERE phase <> 5;
CREATE INDEX training_job_kept ON training_job(training_end) WHERE kept<>0;
CREATE INDEX ledger_entry_ended ON ledger_entry(ended, job);
CREATE INDEX ledger_entry_name ON ledger_entry(account, region, name);
CREATE INDEX quota_claim_account ON quota_claim(account, region);
CREATE INDEX warm_pool_status ON warm_pool(pool_status, job);
CREATE INDEX sagemaker_model_by_time ON sagemaker_model(account, region, created_ms, name_key);
CREATE INDEX sagemaker_endpoint_config_by_time ON sagemaker_endpoint_config(account, region, created_ms, name_key);
CREATE INDEX sagemaker_endpoint_by_time ON sagemaker_endpoint(account, region, created_ms, name_key);
CREATE UNIQUE INDEX sagemaker_endpoint_by_arn ON sagemaker_endpoint(arn);
CREATE INDEX endpoint_deployment_by_endpoint ON endpoint_deployment(endpoint_arn);
CREATE INDEX endpoint_replica_by_deployment ON endpoint_replica(deployment_id);
